"""edgedistil: name a BERT, a dataset, a device and a budget; get a small, verified, device-ready model."""

__version__ = "0.1.0"

"""Bundles: the verified folder that a person ships, in Hugging Face layout."""

from edgedistil.bundle.formats import FORMATS, Format
from edgedistil.bundle.manifest import (
    Accuracy,
    DatasetRecord,
    FileRecord,
    Manifest,
    ModelShape,
    Parity,
    StageRecord,
)
from edgedistil.bundle.read import Bundle, open_bundle
from edgedistil.bundle.write import BundleDetails, FileFacts, record_accuracy, write_bundle

__all__ = [
    "FORMATS",
    "Accuracy",
    "Bundle",
    "BundleDetails",
    "DatasetRecord",
    "FileFacts",
    "FileRecord",
    "Format",
    "Manifest",
    "ModelShape",
    "Parity",
    "StageRecord",
    "open_bundle",
    "record_accuracy",
    "write_bundle",
]

"""Keeps the libraries' chatter off a user's terminal; their errors still come through."""

from __future__ import annotations

import logging
import os
import warnings

_SETTINGS = {
    "TOKENIZERS_PARALLELISM": "false",
    "TRANSFORMERS_VERBOSITY": "error",
    "TRANSFORMERS_NO_ADVISORY_WARNINGS": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "ORT_DISABLE_TELEMETRY": "1",
    "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
    "TF_CPP_MIN_LOG_LEVEL": "3",
    "GLOG_minloglevel": "3",
}
_LOGGERS = (
    "torchao",
    "torch",
    "torch.utils._pytree",
    "datasets",
    "optimum",
    "onnxruntime",
    "litert_torch",
    "jax",
    "root",
)


def quieten() -> None:
    """Sets what the libraries read when they are imported; call it before they are."""
    for name, value in _SETTINGS.items():
        os.environ.setdefault(name, value)
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.ERROR)
    warnings.filterwarnings("ignore")

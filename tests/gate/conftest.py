"""Measurements made up to have chosen predictions, so that the right verdict is known beforehand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from edgedistil.bench.facts import DeviceFacts
from edgedistil.bench.measurement import Accuracy, Interval, Measurement
from edgedistil.bench.stats import wilson_interval
from edgedistil.bench.thermal import Conditions
from edgedistil.hashing import example_id

PI = DeviceFacts(machine="aarch64", system="Linux", cpu="Cortex-A76", cores=4, memory_mb=8000, python="3.11")


def _predictions(count: int, wrong: range) -> tuple[dict[str, int], dict[str, int]]:
    ids = [example_id(f"text {index}") for index in range(count)]
    labels = {name: index % 2 for index, name in enumerate(ids)}
    wrongly = {ids[index] for index in wrong}
    return {name: 1 - label if name in wrongly else label for name, label in labels.items()}, labels


def _measurement(wrong: range = range(100), count: int = 1000, p50: float = 5.0, **changes: Any) -> Measurement:
    predictions, labels = _predictions(count, wrong)
    score = wilson_interval(count - len(wrong), count)
    values: dict[str, Any] = {
        "name": "ONNX int8",
        "bundle": "quickstart",
        "file": "onnx/model_quantized.onnx",
        "format": "onnx-int8",
        "sha256": "0" * 64,
        "bytes": 20_000_000,
        "runtime": "onnxruntime",
        "runtime_version": "1.31.1",
        "threads": 2,
        "sequence_length": 64,
        "samples_ms": [p50],
        "p50_ms": Interval(value=p50, low=0.99 * p50, high=1.01 * p50),
        "p90_ms": Interval(value=p50, low=0.99 * p50, high=1.01 * p50),
        "p99_ms": Interval(value=p50, low=0.99 * p50, high=1.01 * p50),
        "load_ms": 20.0,
        "first_ms": 9.0,
        "peak_memory_mb": 100.0,
        "accuracy": Accuracy(value=score.value, low=score.low, high=score.high, examples=count),
        "predictions": predictions,
        "labels": labels,
        "device": PI,
        "conditions": Conditions(),
        "started": "2026-01-01T00:00:00Z",
    }
    return Measurement.model_validate(values | changes)


@pytest.fixture
def measurement() -> Callable[..., Measurement]:
    """Makes a measurement: `wrong` are the indices of the examples answered wrongly, out of `count`."""
    return _measurement

"""A run's measurements, made up but of plausible size: two teachers' worth of points that crowd one another."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from edgedistil.bench.facts import DeviceFacts
from edgedistil.bench.measurement import Accuracy, Interval, Measurement
from edgedistil.bench.stats import quantile_interval, wilson_interval
from edgedistil.bench.thermal import Conditions

XEON = DeviceFacts(
    machine="x86_64", system="Linux", os="Debian GNU/Linux 12", cpu="Intel Xeon", cores=2, memory_mb=8200, python="3.11"
)
QUICKSTART = [
    ("teacher, ONNX fp32", "onnx-fp32", "onnxruntime", 11.2, 839, 91.2, 168.0),
    ("student, PyTorch", "pytorch", "pytorch", 14.1, 831, 76.9, 410.0),
    ("pruned student, PyTorch", "pytorch", "pytorch", 9.6, 826, 70.1, 402.0),
    ("ONNX fp32", "onnx-fp32", "onnxruntime", 5.4, 826, 70.3, 141.0),
    ("ONNX int8", "onnx-int8", "onnxruntime", 2.1, 824, 18.2, 83.0),
    ("TFLite fp32", "tflite-fp32", "litert", 6.9, 826, 70.6, 120.0),
    ("TFLite int8", "tflite-int8", "litert", 1.3, 822, 18.9, 64.0),
]


def _measurement(
    name: str, kind: str, runtime: str, p50: float, right: int, size: float, peak: float, **changes: Any
) -> Measurement:
    generator = np.random.default_rng(sum(map(ord, name)))
    samples = (p50 * np.exp(np.abs(generator.normal(0, 0.04, 240)))).tolist()
    blocks = [30] * 8
    median, ninety, last = (Interval.of(quantile_interval(samples, q, blocks)) for q in (0.5, 0.9, 0.99))
    score = wilson_interval(right, 953)
    values: dict[str, Any] = {
        "name": name,
        "bundle": "quickstart",
        "file": "model",
        "format": kind,
        "sha256": "0" * 64,
        "bytes": int(size * 1e6),
        "runtime": runtime,
        "runtime_version": "1.0",
        "threads": 2,
        "sequence_length": 64,
        "session": "one",
        "samples_ms": samples,
        "blocks": blocks,
        "p50_ms": median,
        "p90_ms": ninety,
        "p99_ms": last,
        "load_ms": 30.0,
        "first_ms": 2 * p50,
        "peak_memory_mb": peak,
        "accuracy": Accuracy(value=score.value, low=score.low, high=score.high, examples=953),
        "device": XEON,
        "conditions": Conditions(load_average_before=0.4),
        "started": "2026-01-01T00:00:00Z",
    }
    return Measurement.model_validate(values | changes)


@pytest.fixture
def measurement() -> Callable[..., Measurement]:
    """Makes one measurement: of the first file of the quickstart, with the changes asked for."""
    return lambda **changes: Measurement.model_validate(dict(_measurement(*QUICKSTART[0])) | changes)


@pytest.fixture(scope="session")
def measurements() -> list[Measurement]:
    """The seven rows of a quickstart."""
    return [_measurement(*row) for row in QUICKSTART]


@pytest.fixture
def counted() -> Callable[[float], list[Measurement]]:
    """Makes the quickstart's measurements as an emulator gives them, with so many times the instructions."""
    absent = dict.fromkeys(("p50_ms", "p90_ms", "p99_ms", "load_ms", "first_ms", "peak_memory_mb"))
    board = XEON.model_copy(update={"machine": "aarch64", "cpu": "Cortex-A72"})

    def make(times: float) -> list[Measurement]:
        return [
            _measurement(
                *row,
                **absent,
                samples_ms=[],
                blocks=[],
                emulated=True,
                device=board,
                instructions={"total": round(row[3] * 1e8 * times)},
            )
            for row in QUICKSTART
        ]

    return make

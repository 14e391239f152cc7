"""A latency table for the tests' little model, its costs chosen by hand."""

from __future__ import annotations

from edgedistil.bench.facts import DeviceFacts
from edgedistil.bench.latency import LatencyTable, Setting, Shape, Steps


def latency_table() -> LatencyTable:
    return LatencyTable(
        device_name="test",
        device=DeviceFacts(machine="x86_64", system="Linux", cpu="test", cores=1, memory_mb=1000, python="3.11"),
        runtime="onnxruntime",
        runtime_version="1",
        setting=Setting(
            format="onnx-int8",
            threads=1,
            sequence_length=20,
            shape=Shape(layers=3, hidden_size=24, head_size=6, heads=4, ffn=40),
        ),
        rest=0.5,
        attention=Steps(widths=[0, 1, 2, 4], costs=[0.0, 0.9, 1.4, 2.0]),
        ffn=Steps(widths=[0, 40], costs=[0.0, 4.0]),
        last_attention=Steps(widths=[0, 4], costs=[0.0, 1.0]),
        last_ffn=Steps(widths=[0, 40], costs=[0.0, 0.1]),
    )

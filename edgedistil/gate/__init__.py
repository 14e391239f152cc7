"""The gate: may this bundle replace the one before it? Pass, fail or inconclusive, with the statistics that say so."""

from edgedistil.gate.baseline import Baseline, baseline_from_measurements, read_baseline, write_baseline
from edgedistil.gate.limits import GateLimits
from edgedistil.gate.render import render_json, render_text
from edgedistil.gate.verdict import GateReport, judge

__all__ = [
    "Baseline",
    "GateLimits",
    "GateReport",
    "baseline_from_measurements",
    "judge",
    "read_baseline",
    "render_json",
    "render_text",
    "write_baseline",
]

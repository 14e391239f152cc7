from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny_bundle

from edgedistil.bench.measurement import Measurement
from edgedistil.errors import UsageError
from edgedistil.report.html import render_report
from edgedistil.report.trials import TRIALS_NAME, tried_of

SCORED = {"scheme": "onnx-int8", "size_bytes": 1_500_000, "seconds": 1.0}
LOG = {
    "max_drop": 0.005,
    "reference": {"onnx-int8": 0.9},
    "trials": [
        {**SCORED, "score": 0.88, "drop": 0.02, "drop_interval": [0.01, 0.03]},
        {**SCORED, "alone": "head", "distance": 0.1},
        {**SCORED, "fault": "cannot be opened (no kernel)"},
        {**SCORED, "kept": ["layer.0.ffn"], "score": 0.9, "drop": 0.0, "drop_interval": [0.0, 0.0], "holds": True},
    ],
}


def test_the_report_shows_what_was_tried(tmp_path: Path, measurements: list[Measurement]):
    bundle = tiny_bundle.make_bundle(tmp_path)
    assert tried_of(bundle) is None
    log = bundle.folder / TRIALS_NAME
    log.write_text(json.dumps(LOG))
    page = render_report(measurements[:1], bundle)
    for text in (
        "Quantised within 0.5 points of fp32",
        "layer.0.ffn",
        "2.00",
        "1.00 to 3.00",
        "1 more file had",
        "no kernel",
    ):
        assert text in page
    log.write_text("{}")
    with pytest.raises(UsageError, match="max_drop"):
        tried_of(bundle)

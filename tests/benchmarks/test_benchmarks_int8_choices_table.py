"""The tables of what choices do over all students: which file each choice ships, and what is compared with what."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest
from command import ROOT

NAMES = {"a": "A", "b": "B", "c": "C"}


def row(title: str, dev: float, test: float, speed: float, sha256: str = "") -> dict[str, Any]:
    points = {split: {"against_fp32": {"difference": value / 100}} for split, value in (("dev", dev), ("test", test))}
    times = {"speed": [speed, speed - 0.1, speed + 0.1], "runtime": "onnxruntime"}
    return {"title": title, "sha256": sha256 or title, **times, **points}


def form(plain: float | None, smoothed: float | None) -> dict[str, Any]:
    return {"plain": plain, "smoothed": smoothed, "smooth": bool(plain and smoothed and smoothed <= 0.9 * plain)}


def record(plain: tuple[float, ...], smooth: tuple[float, ...], made: dict[str, Any]) -> dict[str, Any]:
    peer = row("optimum-cli --per_channel", 0, 0, 2.0)
    rows = [row("ONNX int8, plain", *plain), row("ONNX int8, smooth", *smooth), peer]
    static = {"onnx-int8-static": form(0.04, 0.02)}
    return {"rows": rows, "forms": {"onnx-int8": made, **static}, "variants_forms": {"minmax": static}}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(str(ROOT / "benchmarks"))
    made = {
        # The logits choose the smoothed file, dev the other; test says that dev is right.
        "a": record((0.2, -0.1, 2.2), (-0.2, -0.5, 2.0), form(0.05, 0.03)),
        "b": record((0.0, -0.9, 3.0), (0.1, -0.3, 3.0), form(0.05, 0.049)),
        # Nothing was chosen here: the file that is not smoothed did not run.
        "c": record((0.0, -9.0, 2.0), (0.0, -9.0, 1.0), form(None, 0.03)),
    }
    # The very file that ships was timed twice more.
    made["a"]["rows"] += [row(title, 0, 0, 1.9, "ONNX int8, smooth") for title in ("ONNX int8", "ONNX int8, target")]
    made["b"]["variants_forms"]["minmax"] = {"onnx-int8-static": form(0.02, 0.05)}
    for ranges in ("percentile", "entropy"):
        made["a"]["variants_forms"][ranges] = {"onnx-int8-static": form(0.04, 0.02)}
    for name, one in made.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(one), encoding="utf-8")
    return tmp_path


@pytest.fixture(autouse=True)
def fresh_modules() -> Any:
    yield
    sys.modules.pop("int8_choices_table", None)


def test_each_way_to_choose_smoothing_has_its_mean_loss(folder: Path):
    from int8_choices_table import smoothing_table

    lines = smoothing_table(folder, NAMES).splitlines()
    assert lines[2] == "| ONNX int8 | 2 | 0.50 | 0.70 | 0.20 | 0.40 | 8 (0 to 16) |"
    assert lines[3].startswith("| all | 2 |")


def test_a_range_is_compared_by_the_file_that_each_would_ship(folder: Path):
    from int8_choices_table import ranges_table

    lines = ranges_table(folder, NAMES).splitlines()
    # B's min-max ships unsmoothed at 0.02, where the default's ships smoothed at 0.02.
    smoothed, plain = next(line for line in lines if line.startswith("| min-max")).split(" | ")[1:]
    assert smoothed.startswith("1.00 (")
    assert plain.startswith("0.50 (B in ONNX static int8) to 1.00")


def test_the_same_integers_are_compared_in_one_session(folder: Path):
    from int8_choices_table import residuals_table

    assert "| A | 2.20x (2.10–2.30) | 2.00x (1.90–2.10) | 1.10x |" in residuals_table(folder, NAMES).splitlines()

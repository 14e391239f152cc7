"""Training's curves are read from what the stages have recorded, and drawn in the page's colours."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest
import tiny_bundle

from edgedistil.bundle import StageRecord
from edgedistil.report.curves import curves_of, draw_curves
from edgedistil.report.html import render_report

HISTORY = [
    {"step": 10 * at, "epoch": at / 2, "soft_targets": 0.5 / at, "hidden_states": 0.1, "dev_score": 0.8 + at / 100}
    for at in range(1, 5)
]


def stage(**summary: Any) -> StageRecord:
    return StageRecord(name="distil", key="a" * 64, version=1, seconds=1.0, summary=summary)


def test_losses_and_scores_are_told_apart() -> None:
    (curves,) = curves_of([stage(history=HISTORY, best_step=30), stage(layers=2)])
    assert (curves.stage, curves.best, curves.steps) == ("distil", 30.0, [10.0, 20.0, 30.0, 40.0])
    assert list(curves.losses) == ["soft targets", "hidden states"]
    assert curves.scores == pytest.approx([0.81, 0.82, 0.83, 0.84])


def test_the_first_releases_history_is_read_too() -> None:
    old = [{"hard_labels": 0.5, "step": at, "epoch": 0.5, "dev_accuracy": 0.8} for at in (1, 2)]
    (curves,) = curves_of([stage(history=old)])
    assert curves.scores == [0.8, 0.8]
    assert list(curves.losses) == ["hard labels"]


@pytest.mark.parametrize("history", [None, "x", [], HISTORY[:1], [{"step": "a"}] * 3, [{"step": 1}, {"step": 2}]])
def test_what_is_no_history_is_left_out(history: Any) -> None:
    assert curves_of([stage(history=history)]) == []


@pytest.mark.parametrize("change", [{}, {"soft_targets": 0.0}, {"dev_loss": 0.4}], ids=["plain", "zero", "dev loss"])
def test_a_picture_is_valid_and_the_same_each_time(change: dict[str, float]) -> None:
    # A loss that came later, as in a second phase, has no value at first.
    history = [*HISTORY[:2], *({**record, **change, "cosine": 0.2} for record in HISTORY[2:])]
    (curves,) = curves_of([stage(history=history, best_step=20)])
    assert curves.losses["cosine"][:2] == [None, None]
    picture = draw_curves(curves, name="c", metric="char F1")
    ET.fromstring(picture)
    assert "var(--onnx)" in picture
    assert "#0001" not in picture
    assert draw_curves(curves, name="c", metric="char F1") == picture


def test_they_stand_in_the_report(measurements: list[Any], tmp_path: Path) -> None:
    bundle = tiny_bundle.make_bundle(tmp_path, lineage=[stage(history=HISTORY)])
    page = render_report(measurements, bundle)
    assert page.count("<svg") == 3
    assert "Losses and dev score of the stage distil" in page
    assert "<h2>Training</h2>" not in render_report(measurements)

"""Training as a picture: each loss and the dev score, evaluation by evaluation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from edgedistil.bundle.manifest import StageRecord
from edgedistil.errors import require
from edgedistil.report.theme import INK, ONNX, SOFT, STYLE, TFLITE, TORCH, calm, to_svg

_AXIS = ("step", "epoch")
_NOT_A_LOSS = {*_AXIS, "learning_rate", "seconds", "phase", "stage"}
_COLOURS = (ONNX, TFLITE, TORCH, INK)
_DASHES = ("-", (0, (5, 2)), (0, (1, 1.5)))


@dataclass(frozen=True)
class Curves:
    """What a training stage has recorded.

    Attributes:
        stage: Its name.
        steps: Optimiser's steps at each evaluation, [n].
        losses: Mean of each loss since the evaluation before, [n] a name.
        scores: Dev score at each evaluation, [n]; empty where none was recorded.
        best: Step of the checkpoint that was kept, where it is told.
    """

    stage: str
    steps: list[float]
    losses: dict[str, list[float | None]]
    scores: list[float]
    best: float | None = None


def curves_of(stages: Sequence[StageRecord]) -> list[Curves]:
    """Returns the curves of every stage that trained, in order; a history that cannot be read is left out."""
    return [found for stage in stages if (found := _curves(stage)) is not None]


def _curves(stage: StageRecord) -> Curves | None:
    history = stage.summary.get("history")
    if not isinstance(history, list):
        return None
    records = [record for record in history if isinstance(record, dict) and _is_number(record.get("step"))]
    names = dict.fromkeys(name for record in records for name, value in record.items() if _is_number(value))
    losses = [name for name in names if name not in _NOT_A_LOSS and (name == "dev_loss" or not name.startswith("dev_"))]
    scored = next((name for name in ("dev_score", "dev_accuracy") if name in names), None)
    if len(records) < 2 or not losses:
        return None
    best = stage.summary.get("best_step")
    return Curves(
        stage=stage.name,
        steps=[float(record["step"]) for record in records],
        losses={name.replace("_", " "): [record.get(name) for record in records] for name in losses},
        scores=[float(record[scored]) for record in records] if scored and all(scored in it for it in records) else [],
        best=float(best) if isinstance(best, int | float) else None,
    )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def draw_curves(curves: Curves, *, name: str, metric: str, width: float = 4.5, height: float = 3.6) -> str:
    """Draws a stage's losses over its dev score.

    Args:
        curves: What it recorded.
        name: Put before every id in the SVG.
        metric: What the dev score is, for its axis.
        width: Inches, as in `picture.draw`.
        height: Inches.

    Returns:
        An `<svg>` element.

    Raises:
        UsageError: When matplotlib is not installed.
    """
    require("matplotlib", "report")
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context(STYLE):
        figure = Figure(figsize=(width, height), dpi=96, layout="constrained")
        count = 2 if curves.scores else 1
        axes = figure.subplots(count, 1, sharex=True, squeeze=False, height_ratios=(3, 2)[:count])[:, 0]
        _losses(axes[0], curves)
        if curves.scores:
            _scores(axes[1], curves, metric)
        axes[-1].set_xlabel("step", fontsize=8)
        return to_svg(figure, name)


def _losses(axes: Any, curves: Curves) -> None:
    positive = all(value is None or value > 0 for values in curves.losses.values() for value in values)
    for index, (name, values) in enumerate(curves.losses.items()):
        drawn = [(step, value) for step, value in zip(curves.steps, values, strict=True) if value is not None]
        axes.plot(
            *zip(*drawn, strict=True),
            color=_COLOURS[index % len(_COLOURS)],
            linestyle=_DASHES[index // len(_COLOURS) % len(_DASHES)],
            linewidth=1.5,
            marker=".",
            markersize=4,
            label=name,
        )
    if positive:
        # Losses differ by powers of ten: on one plain axis the small ones would lie flat.
        _logarithmic(axes)
    axes.set_ylabel("loss", fontsize=8)
    calm(axes, size=8)
    axes.legend(loc="lower left", bbox_to_anchor=(0, 1), ncols=2, fontsize=8, frameon=False, borderaxespad=0.2)


def _logarithmic(axes: Any) -> None:
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_locator(LogLocator(base=10, subs=(1.0, 2.0, 5.0) if high / low < 100 else (1.0,), numticks=12))
    axes.yaxis.set_minor_locator(NullLocator())
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))


def _scores(axes: Any, curves: Curves, metric: str) -> None:
    scores = [100 * score for score in curves.scores]
    axes.plot(curves.steps, scores, color=INK, linewidth=1.5, marker=".", markersize=4)
    if curves.best in curves.steps:
        at = curves.steps.index(curves.best)
        axes.plot(curves.best, scores[at], "o", color=INK, markersize=7, markerfacecolor="none")
        side = "right" if at > len(scores) / 2 else "left"
        axes.annotate(
            "kept", (curves.best, scores[at]), xytext=(0, -12), textcoords="offset points", fontsize=8, color=SOFT,
            ha=side,
        )  # fmt: skip
    axes.margins(y=0.35)
    axes.set_ylabel(f"dev {metric}", fontsize=8)
    calm(axes, size=8)

"""A latency table as a picture and as lines: what each width costs, and how well costs add up."""

from __future__ import annotations

import io
from typing import Any

from rich.table import Table

from edgedistil.bench.latency import LatencyTable, Steps
from edgedistil.errors import require

_CURVES = (
    ("attention", "attention", "heads", "#0072b2", "o"),
    ("last_attention", "attention, last layer", "heads", "#56b4e9", "s"),
    ("ffn", "FFN", "neurons", "#d55e00", "o"),
    ("last_ffn", "FFN, last layer", "neurons", "#e69f00", "s"),
)


def draw_table(table: LatencyTable) -> str:
    """Draws a table: attention by heads, FFN by neurons, measured models against their predictions.

    Returns:
        An `<svg>` document.

    Raises:
        UsageError: When matplotlib is not installed.
    """
    require("matplotlib", "report")
    import matplotlib as mpl
    from matplotlib.figure import Figure

    with mpl.rc_context({"svg.hashsalt": "edgedistil", "svg.fonttype": "path"}):
        figure = Figure(figsize=(10.5, 3.4), dpi=96, layout="constrained")
        heads, neurons, models = figure.subplots(1, 3)
        for name, label, along, colour, mark in _CURVES:
            steps: Steps = getattr(table, name)
            axes = heads if along == "heads" else neurons
            axes.plot(steps.widths, steps.costs, color=colour, marker=mark, markersize=4, label=label)
        for axes, label in ((heads, "heads"), (neurons, "neurons")):
            axes.set(xlabel=label, ylabel=f"{table.unit} a layer", ylim=(0, None), xlim=(0, None))
            axes.legend(frameon=False, fontsize=8)
        _draw_models(models, table)
        stream = io.StringIO()
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def _draw_models(axes: Any, table: LatencyTable) -> None:
    top = max((max(probe.measured, probe.predicted) for probe in table.probes), default=1.0)
    axes.plot([0, top], [0, top], color="#999999", linewidth=0.8)
    for held_out, colour, label in ((False, "#999999", "made the table"), (True, "#000000", "held out")):
        probes = [probe for probe in table.probes if probe.held_out == held_out]
        measured = [probe.measured for probe in probes]
        axes.scatter(measured, [probe.predicted for probe in probes], color=colour, s=14, label=label)
    axes.set(xlabel=f"measured, {table.unit}", ylabel=f"predicted, {table.unit}")
    axes.legend(frameon=False, fontsize=8)


def lines_of(table: LatencyTable) -> Table:
    """Returns a table for the terminal: each curve's widths and costs, and the fixed rest."""
    shape = table.setting.shape
    title = (
        f"{table.device_name}: {shape.layers} x {shape.hidden_size}, {table.setting.format}, "
        f"{table.runtime} {table.runtime_version}, {table.setting.threads} threads, "
        f"{table.setting.sequence_length} tokens"
    )
    made = Table(title=title, caption=_caption(table))
    for column in ("sublayer", "width", table.unit):
        made.add_column(column, justify="left" if column == "sublayer" else "right")
    made.add_row("rest", "", f"{table.rest:.4g}")
    for name, label, along, _, _ in _CURVES:
        steps: Steps = getattr(table, name)
        for width, cost in zip(steps.widths[1:], steps.costs[1:], strict=True):
            made.add_row(label, f"{width} {along}", f"{cost:.4g}")
    return made


def _caption(table: LatencyTable) -> str:
    held_out = [probe for probe in table.probes if probe.held_out]
    return f"{len(held_out)} models it was made without: predicted within {100 * table.held_out_error:.1f} %"

"""The pictures' colours, which are the page's own variables, so that they follow it into the dark."""

from __future__ import annotations

import io
import re
from typing import Any

# Stand-ins that no page uses, replaced by the page's own variables once drawn.
_COLOURS = {
    "#000101": "var(--ink)",
    "#000102": "var(--soft)",
    "#000103": "var(--line)",
    "#000104": "var(--paper)",
    "#000105": "var(--onnx)",
    "#000106": "var(--tflite)",
    "#000107": "var(--torch)",
}
INK, SOFT, LINE, PAPER, ONNX, TFLITE, TORCH = _COLOURS
STYLE = {
    "svg.fonttype": "path",
    "svg.hashsalt": "edgedistil",
    "font.family": "DejaVu Sans",
    "axes.edgecolor": LINE,
    "axes.labelcolor": SOFT,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "text.color": INK,
    "axes.facecolor": "none",
    "figure.facecolor": "none",
    "savefig.facecolor": "none",
}
"""Settings of matplotlib under which a figure is made."""

_REFERENCE = re.compile(r'(\bid="|href="#|url\(#)')


def to_svg(figure: Any, name: str) -> str:
    """Returns a figure as an `<svg>` element in the page's colours.

    Args:
        figure: Drawn under `STYLE`.
        name: Put before every id, so that two pictures can stand in one page.
    """
    stream = io.StringIO()
    figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    text = stream.getvalue()
    text = text[text.index("<svg") :]
    for stand_in, colour in _COLOURS.items():
        text = text.replace(stand_in, colour)
    text = re.sub(r'(<svg[^>]*?) width="[^"]*"', r"\1", text, count=1)
    text = re.sub(r'(<svg[^>]*?) height="[^"]*"', r"\1", text, count=1)
    return _REFERENCE.sub(rf"\g<1>{name}-", text)


def calm(axes: Any, *, size: float = 9) -> None:
    """Takes away what a reader does not need: ticks, and all of the frame but its foot."""
    axes.tick_params(labelsize=size, length=0)
    axes.grid(visible=True, color=LINE, linewidth=0.6, alpha=0.6)
    axes.set_axisbelow(True)
    for side in ("top", "right", "left"):
        axes.spines[side].set_visible(False)

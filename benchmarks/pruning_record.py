"""The result file of `pruning.py`: a row a model, format and kind, written after each step; and its picture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from provenance import provenance, write_record
from pruning_table import called

RESULTS = Path(__file__).resolve().parent / "results" / "pruning"
Key = tuple[str, str, str, str, float]
_ACROSS = 2
_COLUMNS = ("start", "format", "kind", "method", "asked")


class Record:
    """The file, held in memory and written at every change.

    Args:
        path: Where it lies.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}

    @classmethod
    def open(cls, name: str, command: str) -> Record:
        """Returns the record of a name; its facts are written with the first figure."""
        made = cls(RESULTS / f"{name}.json")
        made._fields = {"command": command, "rows": [], **made._fields}
        return made

    def key(self, start: str, name: str, kind: str, method: str, speed: float) -> Key:
        """Returns what tells a row from all others."""
        return (start, name, kind, method, speed)

    def _place(self, key: Key) -> int | None:
        rows = self._fields["rows"]
        return next((place for place, row in enumerate(rows) if tuple(row[name] for name in _COLUMNS) == key), None)

    def has(self, key: Key) -> bool:
        """Tells whether a row has been measured."""
        return self._place(key) is not None

    def add(self, key: Key, row: dict[str, Any]) -> None:
        """Puts a row in, in the place of its last measurement."""
        place, made = self._place(key), dict(zip(_COLUMNS, key, strict=True)) | row
        if place is None:
            self._fields["rows"].append(made)
        else:
            self._fields["rows"][place] = made
        self._write()

    def note(self, section: str, name: str, value: Any) -> None:
        """Puts a figure beside the rows."""
        self._fields.setdefault(section, {})[name] = value
        self._write()

    def notes(self, section: str) -> dict[str, Any]:
        """Returns a section's figures."""
        return dict(self._fields.get(section, {}))

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Returns the rows."""
        return list(self._fields["rows"])

    def line(self, key: Key) -> str:
        """Says a row in one line."""
        place = self._place(key)
        assert place is not None  # noqa: S101 - asked for what was just added
        row = self._fields["rows"][place]
        return (
            f"{row['format']} {row['kind']} {row['method']}: asked {row['asked']:g}x, measured {row['measured']:.2f}x, "
            f"{100 * row['accuracy'][0]:.2f} % ({100 * row['against_student'][0]:+.2f} against the student)"
        )

    def _write(self) -> None:
        self._fields |= provenance()
        write_record(self.path, self._fields)


def plot(record: Record) -> Path:
    """Draws accuracy over measured speed, a panel a format and kind; returns the picture."""
    import matplotlib as mpl
    from matplotlib.figure import Figure

    rows = record.rows
    panels = sorted({(row["format"], row["kind"]) for row in rows})
    if not panels:
        raise SystemExit(f"{record.path}: no rows yet")
    mpl.rcParams["svg.hashsalt"] = "pruning"
    figure = Figure(
        figsize=(3.8 * min(len(panels), _ACROSS) + 2, 3.4 * -(-len(panels) // _ACROSS)), layout="constrained"
    )
    axes = figure.subplots(-(-len(panels) // _ACROSS), min(len(panels), _ACROSS), squeeze=False).ravel()
    colours = dict(zip(sorted({called(row) for row in rows}), mpl.color_sequences["tab20"], strict=False))
    lines = {}
    for axis, (name, kind) in zip(axes, panels, strict=False):
        here = [row for row in rows if (row["format"], row["kind"]) == (name, kind)]
        for title in sorted({called(row) for row in here}):
            points = sorted((row["measured"], 100 * row["accuracy"][0]) for row in here if called(row) == title)
            style = "--" if title.startswith(("uniform", "fewer layers")) else "-"
            (lines[title],) = axis.plot(
                *zip(*points, strict=True), style, color=colours[title], marker="o", markersize=3
            )
        axis.axhline(100 * here[0]["student_accuracy"], color="0.6", linewidth=0.8)
        axis.set(title=f"{name}, {kind}", xlabel="times faster than the student, measured", ylabel="accuracy, %")
    figure.legend(lines.values(), lines.keys(), loc="outside right upper", fontsize=7)
    target = record.path.with_suffix(".svg")
    figure.savefig(target, metadata={"Date": None})
    return target

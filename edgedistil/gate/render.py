"""A gate's report as text for a terminal and as JSON for a machine."""

from __future__ import annotations

import json
import textwrap

from edgedistil.gate.verdict import GateReport

_MARKS = {"pass": "pass", "fail": "FAIL", "inconclusive": "?", "not compared": "-"}
_HEADINGS = {"pass": "PASS", "fail": "FAIL", "inconclusive": "INCONCLUSIVE"}
_INDENT = " " * 21


def render_text(report: GateReport, width: int = 100) -> str:
    """Returns the verdict, a paragraph a file and the notes, in lines of at most `width` characters."""
    lines = [f"Gate: {_HEADINGS[report.outcome]}: '{report.bundle}' against baseline '{report.baseline}'"]
    for file in report.files:
        lines += ["", f"{file.title}: {file.outcome}"]
        for check in file.checks:
            head = f"  {_MARKS[check.outcome]:<4}  {check.kind:<12} "
            lines += _wrapped(head, check.line, width)
            if check.settle:
                lines += _wrapped(_INDENT, f"-> {check.settle}", width)
    if report.notes:
        lines.append("")
        for note in report.notes:
            lines += _wrapped("Note: ", note, width)
    return "\n".join(lines) + "\n"


def _wrapped(head: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(text, width=width, initial_indent=head, subsequent_indent=" " * len(head))


def render_json(report: GateReport) -> str:
    """Returns the report as JSON, with the exit code, every check's figures and the limits."""
    return json.dumps(report.model_dump(mode="json") | {"exit_code": report.exit_code}, indent=1) + "\n"

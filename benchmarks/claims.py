"""The project's promises, computed from committed results: `python benchmarks/claims.py` writes them.

Writes `claims.json` and the generated tables of the README and of `results/README.md`. A test computes everything again
and compares.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from distillation_table import distillation_table
from figures import Promise, read_run
from int8_choices_table import ranges_table, residuals_table, smoothing_table
from int8_speed_table import PROCESSORS, int8_speed_table
from int8_table import int8_table, shipped_table
from int8_variants_table import distances_table, variants_table
from pattern_table import pattern_table
from promises import PROMISES
from pruning_table import pruning_table

from edgedistil.bench.measurement import read_measurements
from edgedistil.report.claims import Claim, markdown_table
from edgedistil.report.table import make_rows, render_markdown

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "benchmarks" / "results"
CLAIMS = ROOT / "benchmarks" / "claims.json"
PAGES = (ROOT / "README.md", RESULTS / "README.md")
INT8_STUDENTS = {
    "sst2": "SST-2",
    "sst2-dense": "SST-2, not pruned",
    "emotion": "Emotion",
    "emotion-dense": "Emotion, not pruned",
    "stsb": "STS-B",
    "stsb-dense": "STS-B, not pruned",
    "toxic-spans": "Toxic spans",
    "toxic-spans-dense": "Toxic spans, not pruned",
    "xquad": "XQuAD",
    "xquad-dense": "XQuAD, not pruned",
}


def compute_claims() -> list[Claim]:
    """Returns every claim, its figure computed from the committed results."""
    claims = []
    for promise in PROMISES:
        folder = RESULTS / promise.run
        run, figure = _facts(promise, folder), promise.compute(folder)
        fields = {
            "id": promise.id,
            "claim": promise.claim,
            "bar": promise.bar,
            "measured": round(figure.value, 4),
            "interval": [round(end, 4) for end in figure.interval] if figure.interval else None,
            "unit": promise.unit,
            "holds": _reaches(promise.bar, round(figure.value, 4)),
            "result": f"{promise.run}/{promise.file}",
            "command": run["command"],
            "versions": run["versions"],
            "date": run["date"],
            "machine": run["machine"],
        }
        claims.append(Claim.model_validate_json(json.dumps(fields)))
    return claims


def _facts(promise: Promise, folder: Path) -> dict[str, Any]:
    """Returns how a result was made: by which command, with which versions, when and on what."""
    if promise.of_a_recipe:
        run = read_run(folder)
        collect = f"python benchmarks/collect.py export/{promise.run}.yaml {promise.run}"
        return {**run, "command": f"{run['command']} && {collect}"}
    record: dict[str, Any] = json.loads((folder / promise.file).read_text(encoding="utf-8"))
    return record


def _reaches(bar: str, value: float) -> bool:
    sign, bound = bar.split(" ")
    return value >= float(bound) if sign == ">=" else value <= float(bound)


def tables() -> dict[str, str]:
    """Returns the generated blocks of all pages, by name."""
    methods = {
        path.stem: distillation_table(path) for path in sorted((RESULTS / "distillation").glob("*-methods.json"))
    }
    whole = {f"pruning-{path.stem}": pruning_table(path) for path in sorted((RESULTS / "pruning").glob("*.json"))}
    return {
        **methods,
        **whole,
        "quickstart": render_markdown(make_rows(read_measurements(RESULTS / "quickstart" / "measurements.jsonl"))),
        "sst2": render_markdown(make_rows(read_measurements(RESULTS / "sst2" / "measurements.jsonl"))),
        "int8": int8_table(RESULTS / "int8" / "sst2.json"),
        "int8-tasks": shipped_table(RESULTS / "int8", INT8_STUDENTS),
        "int8-ranges": variants_table(RESULTS / "int8", INT8_STUDENTS),
        "int8-distances": distances_table(RESULTS / "int8", INT8_STUDENTS),
        "int8-range-ratios": ranges_table(RESULTS / "int8", INT8_STUDENTS),
        "int8-smoothing": smoothing_table(RESULTS / "int8", INT8_STUDENTS),
        "int8-residuals": residuals_table(RESULTS / "int8", INT8_STUDENTS),
        "int8-speed": int8_speed_table(RESULTS / "int8", PROCESSORS),
        "pruning": pruning_table(RESULTS / "pruning" / "sst2.json", short=True),
        "block-sparse": pattern_table(RESULTS / "pattern" / "block_sparse.json"),
        "claims": markdown_table(compute_claims()),
    }


def with_tables(text: str, made: Mapping[str, str]) -> str:
    """Returns a page with its generated blocks made anew.

    Args:
        text: The page.
        made: Every block, by name.
    """
    for name, table in made.items():
        found = re.search(rf"(<!-- {name}: [^>]*-->\n).*?(<!-- end of {name} -->)", text, re.DOTALL)
        if found:
            text = f"{text[: found.start()]}{found[1]}{table.strip()}\n{found[2]}{text[found.end() :]}"
    return text


def unused(made: Iterable[str]) -> list[str]:
    """Returns the blocks that no page has a place for."""
    pages = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    return [name for name in made if f"<!-- {name}: " not in pages]


if __name__ == "__main__":
    lines = [claim.model_dump(mode="json") for claim in compute_claims()]
    CLAIMS.write_text(json.dumps(lines, indent=1) + "\n", encoding="utf-8")
    made = tables()
    if missing := unused(made):
        raise SystemExit(f"no page has a block for: {', '.join(missing)}")
    for page in PAGES:
        page.write_text(with_tables(page.read_text(encoding="utf-8"), made), encoding="utf-8")
    for claim in compute_claims():
        print(f"{'holds ' if claim.holds else 'MISSES'} {claim.id}: {claim.measured} {claim.unit} (bar {claim.bar})")

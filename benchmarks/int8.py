"""Every scheme beside the peers' own: `python benchmarks/int8.py RECIPE [--dense]` writes results/int8/NAME.json.

The recipe's student, or with --dense the one before pruning, in every format and every runtime that opens it, and
what optimum-cli, NNCF and ai-edge-quantizer make of the same fp32 files by the commands that their users type. Every
file is scored on dev and on test, held against the fp32 file on the same examples, and timed; all of them take turns.
`--variants` adds files that are made otherwise: with other ranges, or with layers left in fp32 for a target. What has
been scored is not scored again until the file changes, and nothing is kept of a student that was trained anew. Times
are of one session, and a file that is not in it has none. `--scores-only` leaves the times of an earlier call,
`--times-only` the scores.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from held_out import HeldOut
from int8_files import MADE, File, own_files, peer_files, runnable
from int8_peers import peer_versions
from provenance import provenance, write_record

from edgedistil.bench.cases import Case
from edgedistil.bench.measurement import Measurement, speedup
from edgedistil.bench.session import run_bench
from edgedistil.bench.settings import BenchSettings
from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.read import Bundle
from edgedistil.errors import EdgeDistilError
from edgedistil.export.search.records import SearchLog
from edgedistil.pipeline.plan import plan_recipe
from edgedistil.pipeline.quantising import calibration_rows
from edgedistil.pipeline.run import Outcome, run_plan
from edgedistil.progress import TerminalProgress
from edgedistil.recipe.load import Workspace, load_recipe
from edgedistil.recipe.quantising import Quantise
from edgedistil.recipe.shipping import SMOOTHED
from edgedistil.report.trials import TRIALS_NAME

RESULTS = Path(__file__).resolve().parent / "results" / "int8"
FP32 = "ONNX fp32"
TIMES = ("p50_ms", "speed", "peak_mb", "busy")
STATIC = ("onnx-int8-static", "tflite-int8-static")
VARIANTS = {
    "plain": (SMOOTHED, ["quantise.smooth=false"]),
    "smooth": (SMOOTHED, ["quantise.smooth=true"]),
    "percentile": (STATIC, ["quantise.calibration=percentile"]),
    "minmax": (STATIC, ["quantise.calibration=minmax"]),
    "entropy": (STATIC, ["quantise.calibration=entropy"]),
    "target": (SMOOTHED, ["quantise.max_drop=0.005"]),
    "qat": (STATIC, ["quantise.qat={epochs: 0.5}"]),
    "neural-compressor": (STATIC, ["quantise.backend=neural-compressor"]),
}


@dataclass(frozen=True)
class Comparison:
    """A recipe's student, in files.

    Attributes:
        recipe: The recipe's file.
        name: Of the result.
        keys: Overrides that choose the student.
    """

    recipe: Path
    name: str
    keys: tuple[str, ...]

    def exported(self, formats: tuple[str, ...], *more: str) -> tuple[Outcome, Bundle]:
        """Runs the recipe as far as its files; what was made before is reused."""
        # Whole schemes are compared, whatever a recipe's target would leave in higher precision.
        keys = [*self.keys, "quantise.max_drop=null", f"export.formats={json.dumps(formats)}", *more]
        plan = plan_recipe(load_recipe(self.recipe, keys), Workspace.of_recipe(self.recipe), until="export")
        outcome = run_plan(plan, TerminalProgress())
        assert outcome.published is not None  # noqa: S101 - a plan to export publishes
        return outcome, outcome.published.bundle

    def variant(self, name: str) -> tuple[list[File], dict[str, Any]]:
        """Returns the files made in one of the other ways, and the export's summary, which says what was left out."""
        formats, keys = VARIANTS[name]
        try:
            outcome, bundle = self.exported(formats, f"name={self.name}-int8-{name}", *keys)
        except EdgeDistilError as error:
            print(f"left out: {name}: {error}", flush=True)
            return [], {"left_out": {"all": str(error)}}
        there = {key: bundle.path(key) for key in bundle.formats if key in formats}
        files = [replace(file, title=f"{file.title}, {name}") for file in own_files(there)]
        return files, {**outcome.finished["export"].summary, "kept": kept_layers(bundle)}


def kept_layers(bundle: Bundle) -> dict[str, list[str]]:
    """Returns the layers that a target has left in higher precision, by format; nothing where there was no target."""
    path = bundle.folder / TRIALS_NAME
    if not path.is_file():
        return {}
    trials = SearchLog.model_validate_json(path.read_text(encoding="utf-8")).trials
    return {trial.scheme: list(trial.kept) for trial in trials if trial.holds}


def measure(comparison: Comparison, ask: argparse.Namespace) -> Path:
    """Makes what is missing, measures, and writes the result; returns its file."""
    made = tuple(name for name in MADE if name not in ask.leave_out)
    outcome, bundle = comparison.exported(made, f"name={comparison.name}-int8")
    build = outcome.plan.build
    data = outcome.finished.get("vocabulary", outcome.finished["data"]).folder
    splits = {name: HeldOut.open(data / name, build.recipe.task, bundle.manifest.labels) for name in ("dev", "test")}
    folder = build.workspace.run_folder(f"{comparison.name}-int8")
    files = own_files({name: bundle.path(name) for name in bundle.formats if name != "pytorch"})
    files += peer_files(
        bundle.path("onnx-fp32"),
        bundle.path("tflite-fp32"),
        bundle.folder / "config.json",
        calibration_rows(build, Quantise(), data),
        folder / "peers",
        splits["dev"] if ask.controlled and splits["dev"].tokens.kind in ("class", "value") else None,
    )
    others = {name: comparison.variant(name) for name in ask.variants}
    files = runnable([*files, *(file for made_so, _ in others.values() for file in made_so)])
    path = RESULTS / f"{comparison.name}.json"
    record = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {"rows": []}
    fp32 = next(file for file in files if file.title == FP32)
    if not any(row["sha256"] == fp32.sha256 for row in record["rows"]):
        record = {"rows": []}
    rows = {row["title"]: row for row in record["rows"]}
    unscored = [file.title for file in files if rows.get(file.title, {}).get("sha256") != file.sha256]
    if ask.times_only and unscored:
        raise SystemExit(f"{path}: no scores of {', '.join(unscored)} as made now; leave out --times-only")
    if not ask.times_only:
        rows = scored(files, rows, splits, folder / "scores" / data.name)
    length = build.recipe.bench.sequence_length
    if not ask.scores_only:
        times = times_of(bench(files, length, ask.threads, ask.seconds))
        # A time of an earlier session is no time beside this one's.
        rows = {title: without_times(row) | times.get(title, {}) for title, row in rows.items()}
        record |= {"threads": ask.threads, "tokens": length}
    exported = outcome.finished["export"].summary
    gone = refused_titles(exported.get("left_out", {})).union(
        *(refused_titles(made.get("left_out", {}), name) for name, (_, made) in others.items())
    )
    record |= {name: exported.get(name, {}) for name in ("left_out", "forms")}
    record["rows"] = [row for title, row in rows.items() if title not in gone]
    # Of variants that are not asked for, what an earlier call found stands as their rows do.
    for what in ("left_out", "forms", "kept"):
        found = record.get(f"variants_{what}", {}) | {name: made.get(what) for name, (_, made) in others.items()}
        record[f"variants_{what}"] = {name: facts for name, facts in found.items() if facts}
    return write_record(path, record | {"command": _command(comparison, ask, record), **provenance(peer_versions())})


def refused_titles(left_out: Mapping[str, str], variant: str = "") -> set[str]:
    """Returns the rows' titles of files that were refused: such a row can only be of an earlier file.

    Args:
        left_out: Why, by format, or by `all`.
        variant: A key of `VARIANTS`; none for the files that ship.
    """
    names = VARIANTS[variant][0] if "all" in left_out else left_out
    mark = f", {variant}" if variant else ""
    return {f"{FORMATS[name].title_in(runtime)}{mark}" for name in names for runtime in FORMATS[name].runtimes}


def scored(
    files: list[File], known: Mapping[str, dict[str, Any]], splits: Mapping[str, HeldOut], kept: Path
) -> dict[str, Any]:
    """Returns a row a file by title: facts, scores by split, differences from the fp32 file on the same examples.

    A row that is known stands if its file has not changed; rows of files that are not asked for stand as well.

    Args:
        files: The fp32 one among them.
        known: Rows by title.
        splits: By name.
        kept: A folder for what each file has answered on these splits, from which a killed run goes on.
    """
    rows = dict(known)
    todo = [file for file in files if rows.get(file.title, {}).get("sha256") != file.sha256]
    for file in todo:
        rows[file.title] = {**file.facts, "sha256": file.sha256}
    for name, split in splits.items() if todo else ():
        before = _statistics(next(file for file in files if file.title == FP32), name, split, kept)
        for file in todo:
            made = _statistics(file, name, split, kept)
            rows[file.title][name] = {**split.score(made), "against_fp32": split.difference(made, before)}
            print(f"{name}: {file.title} {rows[file.title][name]['accuracy'][0]:.4f}", flush=True)
    return rows


def _statistics(file: File, name: str, split: HeldOut, kept: Path) -> np.ndarray:
    """Returns a file's statistics on a split, from an earlier call where the file is the same to the last byte."""
    path = kept / f"{file.sha256[:24]}-{file.runtime}-{name}.npy"
    if path.is_file():
        found: np.ndarray = np.load(path)
        return found
    found = split.statistics(file.runtime, file.path)
    kept.mkdir(parents=True, exist_ok=True)
    np.save(path, found)
    return found


def bench(files: list[File], length: int, threads: int, seconds: float) -> dict[str, Measurement]:
    """Returns a measurement a file by title, of one session in which all take turns."""
    timed = [file for file in files if file.timed]
    cases = [Case(file.title, "int8", file.path, file.scheme, file.runtime, threads, length) for file in timed]
    made = run_bench(cases, None, BenchSettings(max_seconds=seconds), TerminalProgress()).complete()
    return {one.name: one for one in made}


def times_of(measured: Mapping[str, Measurement]) -> dict[str, dict[str, Any]]:
    """Returns p50 in ms and the speed against the fp32 file in ONNX Runtime."""
    found = {}
    for title, one in measured.items():
        ratio = speedup(one, measured[FP32])
        assert one.p50_ms is not None  # noqa: S101 - measured here
        found[title] = {
            "p50_ms": [one.p50_ms.value, one.p50_ms.low, one.p50_ms.high],
            "speed": [ratio.value, ratio.low, ratio.high],
            "peak_mb": one.peak_memory_mb,
            "busy": one.conditions.busy_before,
        }
        print(f"{title}: {ratio.value:.2f}x", flush=True)
    return found


def without_times(row: Mapping[str, Any]) -> dict[str, Any]:
    """Returns a row without what `times_of` gives."""
    return {name: value for name, value in row.items() if name not in TIMES}


def _command(comparison: Comparison, ask: argparse.Namespace, record: Mapping[str, Any]) -> str:
    words = ["python benchmarks/int8.py", str(comparison.recipe), *(["--dense"] if comparison.keys else [])]
    controlled = any(row["title"].startswith("NNCF quantize_with_accuracy_control") for row in record["rows"])
    words += [] if controlled else ["--no-accuracy-control"]
    tried = {row["title"].partition(", ")[2] for row in record["rows"]} | set(record["variants_left_out"])
    for option, names in (("--leave-out", ask.leave_out), ("--variants", [name for name in VARIANTS if name in tried])):
        words += [option, *names] if names else []
    return " ".join(words)


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--dense", action="store_true", help="the student before pruning")
    parser.add_argument("--variants", nargs="*", choices=list(VARIANTS), default=[])
    parser.add_argument(
        "--no-accuracy-control",
        dest="controlled",
        action="store_false",
        help="leave out NNCF's quantize_with_accuracy_control, which may take hours",
    )
    parser.add_argument(
        "--leave-out", nargs="*", choices=MADE, default=[], help="formats whose scoring takes hours, such as int16's"
    )
    parser.add_argument("--scores-only", action="store_true")
    parser.add_argument("--times-only", action="store_true")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=8.0, help="most timed seconds a file")
    ask = parser.parse_args()
    name = load_recipe(ask.recipe).name
    chosen = Comparison(ask.recipe, f"{name}-dense", ("prune=null",)) if ask.dense else Comparison(ask.recipe, name, ())
    print(measure(chosen, ask), file=sys.stderr)


if __name__ == "__main__":
    main()

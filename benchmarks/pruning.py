"""Pruning measured, a piece at a time: `python benchmarks/pruning.py RECIPE --piece PIECE [...]`.

RECIPE's teacher, data, targets and student must be finished (`edgedistil distil RECIPE`). The pieces, in order:

    list      what is left to do, with estimated times
    make      every method's model at every speed, one-shot, by the device's latency table (a calm machine: the table)
    recover   each of them distilled from the recipe's teacher with its `prune.recover` (hours; any machine)
    measure   times, interleaved with the unpruned student, and scores on the test split (a calm machine)
    search    seconds of scoring and searching the 12-layer teacher
    plot      accuracy over measured speed

A piece takes up what it has not done yet, so it may be stopped and started; `--again` does it anew. `--formats`,
`--methods` and `--speeds` choose a part. With `--start teacher` the teacher itself is pruned, to the same milliseconds
as the student, so that both ways are compared at equal speed. `--made-for` takes the models that were searched for
another format, to see what they are in these. Models lie in the cache, figures in benchmarks/results/pruning/NAME.json,
which is written after each step.
"""

from __future__ import annotations

import argparse
import json
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pruning_methods import BLOCK, METHODS, Model, Start
from pruning_record import Record, plot
from pruning_run import KINDS, Ask, Run

from edgedistil.bundle.formats import FORMATS
from edgedistil.errors import EdgeDistilError
from edgedistil.models import load_model, save_model
from edgedistil.pipeline.estimate import human_time
from edgedistil.prune import Latency, PruneSettings, prune, score_model


@dataclass(frozen=True)
class Wanted:
    """One model of the comparison."""

    format: str
    method: str
    speed: float

    def folder(self, run: Run) -> Path:
        """Returns where it is kept: `made.json`, `one-shot/` and what came of it."""
        start, method = run.ask.start, self.method.replace(" ", "-")
        return run.models / start / (run.ask.made_for or self.format) / f"{method}-{self.speed:g}x"

    def recovered(self, run: Run) -> Path:
        """Returns where it is kept once recovered, with `trained.json`: `recovered/`, and one more a variant."""
        return self.folder(run) / "-".join([KINDS[1], *run.ask.variant.split()])

    def found(self, run: Run, kind: str) -> dict[str, Path]:
        """Returns the folders of its finished models of a kind, by what the table calls them."""
        folders = sorted(path for path in self.folder(run).glob(f"{kind}*") if (path / "config.json").is_file())
        words = [path.name.removeprefix(kind).replace("-", " ").strip() for path in folders]
        return {", ".join(filter(None, [self.method, word])): path for word, path in zip(words, folders, strict=True)}

    def cannot_be(self, run: Run) -> bool:
        """Tells whether the method was found to have no model of this speed."""
        made = self.folder(run) / "made.json"
        return made.is_file() and json.loads(made.read_text(encoding="utf-8")) is None

    def done(self, run: Run, kind: str) -> bool:
        """Tells whether it has been made, or recovered; what cannot be made counts as made."""
        folder = self.folder(run) / kind if kind == KINDS[0] else self.recovered(run)
        return self.cannot_be(run) or (folder / "config.json").is_file()


def wanted(run: Run) -> Iterator[Wanted]:
    """Yields every model that is asked for."""
    for name in run.ask.formats:
        for method in run.ask.methods:
            for speed in run.ask.speeds:
                yield Wanted(name, method, speed)


def make(run: Run) -> None:
    """Makes the one-shot models of each format that are not there."""
    for name in run.ask.formats:
        todo = [each for each in wanted(run) if each.format == name and (run.ask.again or not each.done(run, KINDS[0]))]
        if not todo:
            continue
        table = run.table(name)
        already = run.speed_of_student(name)
        measure = run.measurer(name) if run.ask.correct else None
        start = Start(run.start, run.batches, Latency(table), run.after_lasso, measure)
        for each in todo:
            made = METHODS[each.method](start, already * each.speed)
            folder = each.folder(run)
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
            facts = None
            if made is not None:
                save_model(made.model, folder / KINDS[0])
                facts = {"predicted": made.predicted, "error": made.error, "seconds": round(made.seconds, 3)}
                facts |= {"speedup": already * each.speed, "corrected": run.ask.correct}
            (folder / "made.json").write_text(json.dumps(facts), encoding="utf-8")
            print(f"made {name} {each.method} {each.speed:g}x: {facts or 'cannot be made'}", flush=True)


def recover(run: Run) -> None:
    """Distils the one-shot models that have not been; a stopped training goes on from its checkpoint."""
    for each in wanted(run):
        folder = each.folder(run)
        if (each.done(run, KINDS[1]) and not run.ask.again) or not (folder / KINDS[0]).is_dir():
            continue
        model, started = load_model(folder / KINDS[0]), time.monotonic()
        scratch, recovered = each.recovered(run).with_suffix(".training"), each.recovered(run)
        run.follow(model, scratch, f"{each.method} {each.speed:g}x, {each.format}")
        save_model(model, recovered)
        (recovered / "trained.json").write_text(json.dumps(run.recovery), encoding="utf-8")
        shutil.rmtree(scratch)
        print(f"recovered {each.format} {each.method} {each.speed:g}x in {human_time(time.monotonic() - started)}")


def measure(run: Run) -> None:
    """Measures the models of one speed, format and kind in one session with the unpruned student."""
    record = run.record
    for name in run.ask.formats:
        for kind in KINDS:
            for speed in run.ask.speeds:
                there = [each for each in wanted(run) if (each.format, each.speed) == (name, speed)]
                folders = {title: path for each in there for title, path in each.found(run, kind).items()}
                keys = {title: record.key(run.ask.start, name, kind, title, speed) for title in folders}
                if not keys or (not run.ask.again and all(record.has(key) for key in keys.values())):
                    continue
                models: dict[str, Model] = {title: load_model(path) for title, path in folders.items()}
                for title, row in run.measured(name, models).items():
                    told = {"made_for": run.ask.made_for or name, **_facts(folders[title])}
                    record.add(keys[title], {**row, **told})
                    print(record.line(keys[title]), flush=True)


def _facts(folder: Path) -> dict[str, Any]:
    """Returns how a model was made, and how it was trained afterwards if it was."""
    made = json.loads((folder.parent / "made.json").read_text(encoding="utf-8"))
    if folder.name == KINDS[0]:
        return {"made": made, "trained": None}
    return {"made": made, "trained": json.loads((folder / "trained.json").read_text(encoding="utf-8"))}


def search(run: Run) -> None:
    """Times scoring and searching of the teacher, under a budget that needs no table."""
    teacher = load_model(run.folder("teacher"))
    for score in ("obs", "fisher", "fisher_block", "magnitude"):
        settings = PruneSettings(0.5, "macs", block=BLOCK, score=score)
        scores = score_model(teacher, run.batches, settings)
        result = prune(teacher, run.batches, settings, scores=scores)
        seconds = {"score": scores.seconds, "search": result.seconds, "layers": teacher.config.num_hidden_layers}
        run.record.note("search", score, {**seconds, "examples": run.ask.examples})
        print(score, seconds, flush=True)


def listed(run: Run) -> None:
    """Prints what is left of each piece, and about how long it will take on this machine."""
    left = {"make": 0.0, "recover": 0.0, "measure": 0.0}
    counts = dict.fromkeys(left, 0)
    for each in wanted(run):
        if each.cannot_be(run):
            continue
        key = [run.record.key(run.ask.start, each.format, kind, each.method, each.speed) for kind in KINDS]
        for piece, missing, seconds in (
            ("make", not each.done(run, KINDS[0]), run.making_seconds() / len(run.ask.speeds)),
            ("recover", not each.done(run, KINDS[1]), run.recovering_seconds(each.speed)),
            *(("measure", not run.record.has(one), run.measuring_seconds(each.format)) for one in key),
        ):
            if missing:
                counts[piece] += 1
                left[piece] += seconds
    for piece, seconds in left.items():
        print(f"{piece:8} {counts[piece]:4} models, about {human_time(seconds)}")
    tables = [name for name in run.ask.formats if not run.has_table(name)]
    if tables:
        print(f"and a latency table, up to 3 min each, of: {', '.join(tables)}")


PIECES = {"list": listed, "make": make, "recover": recover, "measure": measure, "search": search}


def main() -> None:
    """Does what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", type=Path)
    parser.add_argument("--piece", choices=[*PIECES, "plot"], default="list")
    parser.add_argument("--name", help="of the result; the recipe's by default")
    parser.add_argument("--start", choices=["student", "teacher"], default="student")
    parser.add_argument(
        "--formats", nargs="+", choices=list(FORMATS), metavar="FORMAT", default=["tflite-int8", "onnx-int8"]
    )
    parser.add_argument(
        "--made-for",
        choices=list(FORMATS),
        metavar="FORMAT",
        help="whose models are taken; each format's own by default",
    )
    parser.add_argument("--methods", nargs="+", choices=list(METHODS), default=list(METHODS), metavar="METHOD")
    parser.add_argument("--speeds", nargs="+", type=float, default=[1.5, 2.0, 3.0, 4.0])
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as edgedistil run takes it")
    parser.add_argument("--split", default="test")
    parser.add_argument("--examples", type=int, default=2048)
    parser.add_argument(
        "--variant", default="", metavar="WORDS", help="calls models that --set recovers in another way"
    )
    parser.add_argument("--correct", action="store_true", help="measure while making, as edgedistil run does")
    parser.add_argument("--again", action="store_true", help="do anew what is done")
    given = vars(parser.parse_args())
    recipe, piece, name, overrides = (given.pop(key) for key in ("recipe", "piece", "name", "set"))
    run = Run(recipe, overrides, name, Ask(**given))
    if piece == "plot":
        print(plot(Record(run.record.path)))
        return
    PIECES[piece](run)


if __name__ == "__main__":
    try:
        main()
    except EdgeDistilError as error:
        raise SystemExit(error.line()) from error

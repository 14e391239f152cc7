"""What the pieces of `pruning.py` share: the recipe's finished stages, the device and its tables, a session."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pruning_methods import Model
from pruning_record import Record

from edgedistil.bench.latency import LatencyTable, Setting
from edgedistil.bench.latency_fit import steady_costs, unit_of
from edgedistil.bench.measurement import Measurement
from edgedistil.bench.scores import Examples
from edgedistil.data.prepare import PreparedData
from edgedistil.data.tokens import open_tokens
from edgedistil.devices.built_in import profile_folders
from edgedistil.devices.profile import Device, connect, load_profile
from edgedistil.gate.statistics import Pairs, tango_lower, tango_upper
from edgedistil.models import load_model
from edgedistil.pipeline.estimate import Speeds
from edgedistil.pipeline.latency_tables import tables_folder
from edgedistil.pipeline.plan import plan_recipe
from edgedistil.pipeline.pruning import calibration_batches
from edgedistil.pipeline.stage import Effort, Stage, StageContext
from edgedistil.pipeline.stages.lasso import lasso_stage
from edgedistil.pipeline.stages.prune import prune_stage, recover_stage
from edgedistil.pipeline.training import follow, load_splits
from edgedistil.profiling.files import export_as, file_name
from edgedistil.profiling.measure import measurer
from edgedistil.profiling.table import COMPARE, case_of, shape_of, table_for
from edgedistil.progress import TerminalProgress
from edgedistil.prune.moments import Batch
from edgedistil.recipe.load import Workspace, load_recipe
from edgedistil.recipe.schema import Distil, Prune

KINDS = ("one-shot", "recovered")
_EXPORT_SECONDS = {"onnx-fp32": 3.0, "onnx-int8": 6.0, "tflite-fp32": 6.0, "tflite-int8": 8.0}
_BENCH_SECONDS = 8.0
_MADE_HERE = ("targets", "unlabelled", "lasso")


@dataclass(frozen=True)
class Ask:
    """The command line's choices; see `pruning.py`."""

    start: str
    formats: Sequence[str]
    made_for: str | None
    methods: Sequence[str]
    speeds: Sequence[float]
    variant: str
    split: str
    examples: int
    correct: bool
    again: bool


class Run:
    """A recipe whose student is finished.

    Args:
        recipe: Its file.
        overrides: As `edgedistil run --set` takes them.
        name: Of the result; the recipe's for None.
        ask: The command line's choices.
    """

    def __init__(self, recipe: Path, overrides: Sequence[str], name: str | None, ask: Ask) -> None:
        self.ask = ask
        plan = plan_recipe(load_recipe(recipe, overrides), Workspace.of_recipe(recipe), until="distil")
        self.build = plan.build
        self._folders = {stage.name: self._finished(stage) for stage in plan.stages if not stage.passing}
        title = name or self.build.recipe.name
        self.models = self.build.cache.root / "pruning" / title
        self.record = Record.open(title, f"python benchmarks/pruning.py {recipe} --piece measure")

    def _finished(self, stage: Stage) -> Path:
        """Returns a stage's folder; what `edgedistil distil` does not make is made."""
        done = self.build.cache.find(stage)
        if done is None and stage.name.startswith(_MADE_HERE):
            for needed in stage.inputs.values():
                self._finished(needed)
            done = self.build.cache.run(stage, TerminalProgress())
        if done is None:
            raise SystemExit(f"stage '{stage.name}' is not done: edgedistil distil RECIPE")
        return done.folder

    def folder(self, stage: str) -> Path:
        """Returns the folder of a finished stage's model."""
        return self._folders[stage] / "model"

    @cached_property
    def student(self) -> Model:
        """Returns the unpruned student, which all speeds are counted from."""
        return load_model(self.folder("distil"))  # type: ignore[return-value]

    @cached_property
    def start(self) -> Model:
        """Returns what is pruned: the student or the teacher."""
        return self.student if self.ask.start == "student" else load_model(self.folder("teacher"))  # type: ignore[return-value]

    def after_lasso(self) -> Model:
        """Returns the student after the recipe's training under group lasso, or the default one.

        Raises:
            SystemExit: For the teacher, which no recipe trains so.
        """
        if self.ask.start != "student":
            raise SystemExit("group_lasso trains a recipe's student: leave it out of --methods, or --start student")
        folder = self._finished(lasso_stage(self.build, self.build.recipe.prune or Prune(parameters=0.5)))
        return load_model(folder / "model")  # type: ignore[return-value]

    @cached_property
    def batches(self) -> list[Batch]:
        """Returns calibration text with labels."""
        train = open_tokens(self._folders["data"] / "train")
        return calibration_batches(train, self.ask.examples, self.build.recipe.seed)

    @cached_property
    def device(self) -> Device:
        """Returns the recipe's device."""
        return connect(load_profile(self.build.recipe.bench.device, profile_folders(self.build.workspace.root)))

    def setting(self, name: str) -> Setting:
        """Returns how a format's files are run."""
        bench = self.build.recipe.bench
        threads = bench.threads or self.device.threads
        shape = shape_of(self.start.config)
        return Setting(format=name, threads=threads, sequence_length=bench.sequence_length, shape=shape)

    def table(self, name: str) -> LatencyTable:
        """Returns the start's latency table, measured where there is none."""
        table = table_for(self.device, self.setting(name), tables_folder(self.build.workspace.root), TerminalProgress())
        self.record.note("tables", f"{self.ask.start}, {name}", table.model_dump(mode="json"))
        return table

    def has_table(self, name: str) -> bool:
        """Tells whether there may be a table; whether it still fits the device is seen when it is used."""
        return f"{self.ask.start}, {name}" in self.record.notes("tables")

    def measurer(self, name: str) -> Callable[[Sequence[Model]], list[float]]:
        """Returns what a search is corrected by."""
        return measurer(self.device, self.setting(name), TerminalProgress())

    def speed_of_student(self, name: str) -> float:
        """Returns how many times faster than the start the student is: 1 where it is the start."""
        if self.ask.start == "student":
            return 1.0
        student, start = self.measurer(name)([self.student, self.start])
        return start / student

    def measured(self, name: str, models: Mapping[str, Model]) -> dict[str, dict[str, Any]]:
        """Returns each model's time and score by its file, and how it compares with the student's file."""
        named = {"student": self.student, **models}
        setting = self.setting(name)
        labels = tuple(PreparedData.load(self._folders["data"]).labels)
        with tempfile.TemporaryDirectory() as scratch:
            tokens, cases = Path(scratch) / "split.npz", []
            open_tokens(self._folders["data"] / self.ask.split).save(tokens)
            for number, (title, model) in enumerate(named.items()):
                path = Path(scratch) / file_name(number, setting)
                export_as(model, setting, path)
                cases.append(case_of(title, path, setting))
            examples = Examples(tokens, self.build.recipe.task, labels)
            made = self.device.bench(cases, examples, COMPARE, TerminalProgress()).complete()
        costs = dict(zip(named, steady_costs(made, unit_of(made)), strict=True))
        found = {one.name: one for one in made}
        return {
            title: {
                "milliseconds": costs[title],
                "student_milliseconds": costs["student"],
                "measured": costs["student"] / costs[title],
                "bytes": found[title].bytes,
                **_scored(found[title], found["student"]),
                "heads": list(model.config.heads),
                "ffn": list(model.config.ffn),
            }
            for title, model in models.items()
        }

    @property
    def recover(self) -> Distil:
        """Returns the recipe's training after pruning."""
        prune = self.build.recipe.prune
        if prune is None or prune.recover is None:
            raise SystemExit(f"{self.build.recipe.name} has no prune.recover")
        return prune.recover

    @property
    def recovery(self) -> dict[str, Any]:
        """Returns what a reader must know of that training."""
        text = self.build.text_of(self.recover)
        return {
            "epochs": self.recover.epochs,
            "learning_rate": self.recover.learning_rate,
            "losses": self.recover.losses.model_dump(exclude_defaults=True),
            "unlabelled": text.path if text else None,
        }

    def follow(self, model: Model, scratch: Path, words: str) -> None:
        """Distils a model in place by the recipe's `prune.recover`."""
        assert self.build.recipe.prune is not None  # noqa: S101 - it has a recovery
        needed = recover_stage(self.build, self.build.recipe.prune).inputs
        folders = {name: self._finished(stage) for name, stage in needed.items() if name != "prune"}
        splits = load_splits(folders["data"], self.build.recipe.task, folders.get("unlabelled"))
        scratch.mkdir(parents=True, exist_ok=True)
        follow(
            model, splits, self.recover, self.build, StageContext(scratch, scratch, folders, TerminalProgress()), words
        )

    def recovering_seconds(self, speed: float) -> float:
        """Returns the estimate of a training: the student's own, as much shorter as the model is faster."""
        operations = self.build.training(self.build.recipe.student.layers, self.recover, following=True) / speed
        return self._estimate("recover", Effort(operations))

    def making_seconds(self) -> float:
        """Returns the estimate of scoring with a method, all speeds together."""
        effort = prune_stage(self.build, Prune(parameters=0.5, calibration_examples=self.ask.examples)).effort
        layers = self.build.recipe.student.layers if self.ask.start == "student" else self.build.teacher_layers
        factor = layers / self.build.recipe.student.layers
        return self._estimate("prune", Effort(factor * effort.operations, effort.seconds))

    def measuring_seconds(self, name: str) -> float:
        """Returns the estimate of exporting, scoring and timing a file."""
        return _EXPORT_SECONDS.get(name, 8.0) + _BENCH_SECONDS

    def _estimate(self, name: str, effort: Effort) -> float:
        return Speeds(self.build.cache.root).seconds(Stage(name, 0, {}, {}, lambda _: {}, effort=effort))


def _scored(made: Measurement, student: Measurement) -> dict[str, Any]:
    """Returns a file's accuracy, and its difference from the student's file on the same examples, with intervals."""
    assert made.accuracy is not None  # noqa: S101 - the session was given examples
    assert student.accuracy is not None  # noqa: S101
    right, before = (
        {name: one.predictions[name] == label for name, label in one.labels.items()} for one in (made, student)
    )
    gained = sum(right[name] and not before[name] for name in right)
    lost = sum(before[name] and not right[name] for name in right)
    pairs = Pairs(len(right), gained, lost)
    return {
        "accuracy": [made.accuracy.value, made.accuracy.low, made.accuracy.high],
        "student_accuracy": student.accuracy.value,
        "against_student": [pairs.difference, tango_lower(pairs, 0.975), tango_upper(pairs, 0.975)],
    }

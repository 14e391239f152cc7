"""Pruning measured: `python benchmarks/pruning.py MODEL DATA NAME` writes results/NAME/pruning.json.

Accuracy at several measured speeds, in each format, for every score and for two plain baselines: fewer layers, and
uniform magnitude. One-shot by default; with `--recover RECIPE` each model is then distilled from the recipe's teacher
with the recipe's own settings, which takes hours. MODEL is a model's folder, DATA a finished data stage's.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgedistil.bench.facts import local_facts
from edgedistil.bench.latency import LatencyTable, Setting
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.stats import wilson_interval
from edgedistil.data.tokens import open_tokens
from edgedistil.devices.profile import Device, connect, load_profile
from edgedistil.distil.evaluate import predict_logits
from edgedistil.errors import EdgeDistilError
from edgedistil.models import EdgeBertForSequenceClassification, keep, load_model, take_layers
from edgedistil.pipeline.pruning import calibration_batches
from edgedistil.profiling.measure import measure_models
from edgedistil.profiling.table import shape_of, table_for
from edgedistil.progress import TerminalProgress
from edgedistil.prune import GroupLasso, Latency, PruneSettings, score_model
from edgedistil.prune.blocks import sublayers_of
from edgedistil.prune.fisher import loss_of
from edgedistil.prune.moments import Batch
from edgedistil.prune.prune import prune

RESULTS = Path(__file__).resolve().parent / "results"
Model = EdgeBertForSequenceClassification
SCORES = ("obs", "fisher", "fisher_block", "group_lasso", "magnitude")
_BLOCK = 32


@dataclass(frozen=True)
class Data:
    """Calibration batches with labels, and the split that judges."""

    batches: list[Batch]
    judged: EvaluationSet


def open_data(folder: Path, examples: int, split: str, seed: int = 42) -> Data:
    """Opens a finished data stage: some training rows to calibrate with, one split to judge by."""
    return Data(calibration_batches(open_tokens(folder / "train"), examples, seed), open_tokens(folder / split))


def accuracy(model: Model, judged: EvaluationSet) -> tuple[float, float, float]:
    """Returns the accuracy with its 95 % interval."""
    right = int((predict_logits(model, judged).argmax(1) == np.asarray(judged.labels)).sum())
    share = wilson_interval(right, len(judged.labels))
    return share.value, share.low, share.high


def lasso_trained(model: Model, batches: Sequence[Batch], epochs: int, rate: float = 2e-5) -> Model:
    """Returns a copy of a model after a short training under reweighted group lasso on the calibration rows."""
    import copy

    made = copy.deepcopy(model).train()
    lasso = GroupLasso(made, sublayers_of(made.config, _BLOCK), strength=1e-4)
    optimiser = torch.optim.AdamW(made.parameters(), lr=rate)
    torch.manual_seed(0)
    for epoch in range(epochs):
        order = np.random.default_rng(epoch).permutation(len(batches))
        for number in order:
            ids, mask, labels = batches[number]
            optimiser.zero_grad()
            loss = loss_of(made, made(ids, mask).logits, labels) / len(ids) + lasso.penalty()
            loss.backward()
            optimiser.step()
        lasso.reweight()
    return made.eval()


def fewer_layers(model: Model, costs: Latency, budget: float) -> Model | None:
    """Returns the deepest model of evenly chosen whole layers within a latency; None when one layer is too slow."""
    from edgedistil.prune.costs import model_cost

    layers = model.config.num_hidden_layers
    for count in range(layers, 0, -1):
        kept = np.unique(np.linspace(0, layers - 1, count).round().astype(int)).tolist()
        heads = [range(size) if layer in kept else [] for layer, size in enumerate(model.config.heads)]
        ffn = [range(size) if layer in kept else [] for layer, size in enumerate(model.config.ffn)]
        if model_cost(costs, keep(model, heads, ffn).config) <= budget:
            return take_layers(model, kept)
    return None


def uniform_magnitude(model: Model, costs: Latency, budget: float) -> Model | None:
    """Returns the widest model that loses the same share of every sublayer, smallest first, within a latency."""
    from edgedistil.prune.costs import model_cost
    from edgedistil.prune.prune import remove_blocks

    scores = score_model(model, [], PruneSettings(1.0, score="magnitude", block=_BLOCK))
    for lost in np.linspace(0, 1, 97):
        levels = [round(lost * len(sublayer.blocks)) for sublayer in scores.sublayers]
        made, _, _ = remove_blocks(model, scores.sublayers, scores.scored, levels)
        if model_cost(costs, made.config) <= budget:
            return made
    return None


def candidates(
    model: Model, data: Data, table: LatencyTable, speeds: Sequence[float], scores: Sequence[str], epochs: int
) -> list[tuple[str, float, Model]]:
    """Returns every model to compare: its method, the speed it was asked for and itself."""
    costs = Latency(table)
    whole = table.predict(model.config.heads, model.config.ffn)
    made: list[tuple[str, float, Model]] = []
    for score in scores:
        start = lasso_trained(model, data.batches, epochs) if score == "group_lasso" else model
        settings = PruneSettings(1.0, "speedup", block=_BLOCK, score=score)
        found = score_model(start, data.batches, settings)
        for speed in speeds:
            asked = PruneSettings(speed, "speedup", block=_BLOCK, score=score)
            made.append((score, speed, prune(start, data.batches, asked, costs=costs, scores=found).model))
    baselines: dict[str, Callable[[Model, Latency, float], Model | None]] = {
        "fewer layers": fewer_layers,
        "uniform magnitude": uniform_magnitude,
    }
    for name, baseline in baselines.items():
        made += [(name, speed, each) for speed in speeds if (each := baseline(model, costs, whole / speed))]
    return made


def measured_rows(
    model: Model, made: Sequence[tuple[str, float, Model]], data: Data, device: Device, setting: Setting
) -> list[dict[str, Any]]:
    """Measures and judges the models; a group of one speed is measured in one session with the whole model."""
    rows = []
    for speed in sorted({asked for _, asked, _ in made}):
        group = [(method, each) for method, asked, each in made if asked == speed]
        before, *after = measure_models(device, setting, [model, *(each for _, each in group)], TerminalProgress())
        for (method, each), cost in zip(group, after, strict=True):
            value, low, high = accuracy(each, data.judged)
            rows.append(
                {
                    "method": method,
                    "asked_speedup": speed,
                    "measured_speedup": before / cost,
                    "cost": cost,
                    "accuracy": [value, low, high],
                    "heads": list(each.config.heads),
                    "ffn": list(each.config.ffn),
                }
            )
            print(
                f"  {method:18} asked {speed:g}x measured {before / cost:.2f}x accuracy {100 * value:.2f}", flush=True
            )
    return rows


def recovered(made: Sequence[tuple[str, float, Model]], recipe: Path) -> list[tuple[str, float, Model]]:
    """Returns the models after the recipe's recovery from its teacher's cached outputs, one training each."""
    import tempfile

    from edgedistil.pipeline.plan import plan_recipe
    from edgedistil.pipeline.stage import StageContext
    from edgedistil.pipeline.stages.data import data_stage
    from edgedistil.pipeline.stages.targets import targets_stage
    from edgedistil.pipeline.training import follow, load_splits
    from edgedistil.recipe.load import Workspace, load_recipe

    plan = plan_recipe(load_recipe(recipe), Workspace.of_recipe(recipe))
    build, prune_section = plan.build, plan.build.recipe.prune
    settings = prune_section.recover if prune_section else None
    found = {"data": build.cache.find(data_stage(build)), "targets": build.cache.find(targets_stage(build))}
    if settings is None or None in found.values():
        raise SystemExit(f"{recipe} needs prune.recover and finished stages: edgedistil distil {recipe}")
    inputs = {name: done.folder for name, done in found.items() if done}
    splits = load_splits(inputs["data"], build.recipe.task)
    for method, speed, model in made:
        with tempfile.TemporaryDirectory() as scratch:
            context = StageContext(Path(scratch), Path(scratch), inputs, TerminalProgress())
            follow(model, splits, settings, build, context, f"{method} {speed:g}x")
    return list(made)


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("name")
    parser.add_argument("--formats", nargs="+", default=["tflite-int8", "onnx-int8"])
    parser.add_argument("--speeds", nargs="+", type=float, default=[1.5, 2.0, 3.0, 4.0])
    parser.add_argument("--scores", nargs="+", default=list(SCORES))
    parser.add_argument("--split", default="test")
    parser.add_argument("--examples", type=int, default=2048)
    parser.add_argument("--lasso-epochs", type=int, default=3)
    parser.add_argument("--sequence-length", type=int, default=64)
    parser.add_argument("--threads", type=int, help="threads an inference may use; the device's by default")
    parser.add_argument("--recover", type=Path, help="a recipe: also distil each model from its teacher")
    parser.add_argument("--cache", type=Path, default=Path(".edgedistil/latency"))
    ask = parser.parse_args()
    model, data = load_model(ask.model), open_data(ask.data, ask.examples, ask.split)
    device = connect(load_profile("local", [Path("devices")]))
    result: dict[str, Any] = {
        "date": dt.datetime.now(dt.timezone.utc).date().isoformat(),
        "machine": local_facts().model_dump(),
        "split": ask.split,
        "unpruned": list(accuracy(model, data.judged)),
        "rows": [],
        "tables": {},
    }
    for name in ask.formats:
        setting = Setting(
            format=name,
            threads=ask.threads or device.threads,
            sequence_length=ask.sequence_length,
            shape=shape_of(model.config),
        )
        table = table_for(device, setting, ask.cache, TerminalProgress())
        result["tables"][name] = table.model_dump(mode="json")
        made = candidates(model, data, table, ask.speeds, ask.scores, ask.lasso_epochs)
        for kind in ("one-shot", "recovered") if ask.recover else ("one-shot",):
            if kind == "recovered":
                made = recovered(made, ask.recover)
            print(f"{name}, {kind}: unpruned {100 * result['unpruned'][0]:.2f}")
            rows = measured_rows(model, made, data, device, setting)
            result["rows"] += [{"format": name, "kind": kind, **row} for row in rows]
    target = RESULTS / ask.name / "pruning.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    try:
        main()
    except EdgeDistilError as error:
        raise SystemExit(error.line()) from error

from __future__ import annotations

import json
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnxruntime.quantization import quantize_dynamic

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.errors import EdgeDistilError
from edgedistil.export.onnx_layers import layers_of_onnx, nodes_to_keep
from edgedistil.export.quantise_tflite_int4 import PARTS, int4_layers, quantise_tflite_int4
from edgedistil.export.search.choice import choose
from edgedistil.export.search.engine import NothingHoldsError, Winner, search
from edgedistil.export.search.meter import FileMeter
from edgedistil.export.search.records import SearchLog, Trial
from edgedistil.export.search.scheme import Scheme
from edgedistil.tasks import get_task


class Made:
    """A meter of files that say what they lose: the sum of their quantised layers' losses, or what a table says.

    A layer takes four kilobytes, unless told otherwise, and a quarter of that when it is quantised.
    """

    def __init__(
        self, losses: dict[str, int], table: dict[int, int] | None = None, sizes: dict[str, int] | None = None
    ) -> None:
        self.losses, self.table = losses, table
        self.sizes = sizes or dict.fromkeys(losses, 4000)
        self.source_bytes = 0

    def build(self, path: Path, kept) -> None:
        quantised = [layer for layer in self.losses if layer not in kept]
        size = sum(size // 4 if layer in quantised else size for layer, size in self.sizes.items())
        path.write_text(json.dumps(quantised).ljust(size))

    def loss(self, path: Path) -> int:
        quantised = json.loads(path.read_text())
        if self.table is not None and quantised:
            return self.table[len(quantised)]
        return sum(self.losses[layer] for layer in quantised)

    def statistics(self, path: Path) -> np.ndarray:
        return np.array([[1000 - self.loss(path), 1000]] * 3)

    def probe(self, path: Path) -> np.ndarray:
        return np.array([float(sum(self.losses[layer] for layer in json.loads(path.read_text())))])

    def metric_of(self, sums: np.ndarray) -> np.ndarray:
        return sums[..., 0] / sums[..., 1]

    def scheme(self, folder: Path, name: str = "made", cost: float = 0.0) -> Scheme:
        source = folder / f"{name}.fp32"
        self.build(source, list(self.losses))
        source.write_text(source.read_text().ljust(self.source_bytes))
        return Scheme(name, source, self.build, list(self.losses), self, cost)


def found(losses: list[int], allowed: int, table: dict[int, int] | None = None) -> Trial | NothingHoldsError:
    made = Made({f"layer.{number}": loss for number, loss in enumerate(losses)}, table)
    # What a layer is left in has half the bytes of fp32, as int8 beside int4: any number of them may be left.
    made.source_bytes = 2 * sum(made.sizes.values())
    return outcome(made, allowed)


def outcome(made: Made, allowed: int) -> Trial | NothingHoldsError:
    with tempfile.TemporaryDirectory() as folder:
        try:
            return search([made.scheme(Path(folder))], allowed / 1000, Path(folder)).winners[0].trial
        except NothingHoldsError as error:
            return error


def fewest(losses: list[int], allowed: int) -> int | None:
    """Returns the fewest layers whose removal leaves no more than allowed, or None when all but one do not do."""
    left = sorted(losses)
    return next((k for k in range(len(left)) if sum(left[: len(left) - k]) <= allowed), None)


LOSSES = st.lists(st.integers(0, 40), min_size=1, max_size=14)


@settings(max_examples=60, deadline=None)
@given(LOSSES, st.integers(0, 120))
def test_the_fewest_layers_of_all_choices_are_kept_and_the_target_is_held(losses: list[int], allowed: int):
    best, trial = fewest(losses, allowed), found(losses, allowed)
    if best is None:
        assert isinstance(trial, NothingHoldsError)
        assert trial.nearest.drop == pytest.approx(min(sum(losses), *losses) / 1000)
    else:
        assert isinstance(trial, Trial)
        assert len(trial.kept) == best
        assert trial.drop <= allowed / 1000 + 1e-9


@settings(max_examples=40, deadline=None)
@given(LOSSES, st.integers(0, 60), st.integers(0, 60))
def test_a_looser_target_keeps_no_more_layers(losses: list[int], allowed: int, more: int):
    strict, loose = found(losses, allowed), found(losses, allowed + more)
    if isinstance(strict, Trial):
        assert isinstance(loose, Trial)
        assert len(loose.kept) <= len(strict.kept)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 40), min_size=2, max_size=9), st.integers(0, 40), st.data())
def test_what_wins_holds_even_where_more_layers_score_worse(losses: list[int], allowed: int, data):
    table = {count: data.draw(st.integers(0, 60)) for count in range(1, len(losses) + 1)}
    trial = found(losses, allowed, table)
    if isinstance(trial, Trial):
        assert trial.drop <= allowed / 1000 + 1e-9


def test_the_cheapest_scheme_that_holds_ends_the_search_and_every_trial_is_logged(tmp_path: Path):
    dear = Made({"a": 0, "b": 0}).scheme(tmp_path, "dear", cost=3)
    cheap = Made({"a": 30, "b": 30}).scheme(tmp_path, "cheap", cost=1)
    middling = Made({"a": 9, "b": 2}).scheme(tmp_path, "middling", cost=2)
    done = search([dear, cheap, middling], 0.005, tmp_path)
    assert [(trial.scheme, trial.purpose, trial.kept, trial.alone, trial.holds) for trial in done.log.trials] == [
        ("cheap", "whole", (), None, False),
        ("cheap", "sensitivity", (), "a", False),
        ("cheap", "sensitivity", (), "b", False),
        ("cheap", "fewest", ("a",), None, False),
        ("middling", "whole", (), None, False),
        ("middling", "sensitivity", (), "a", False),
        ("middling", "sensitivity", (), "b", False),
        ("middling", "fewest", ("a",), None, True),
    ]
    assert [winner.trial for winner in done.winners] == [done.log.trials[-1]]
    assert json.loads(done.winners[0].path.read_text()) == ["b"]
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "cheap.fp32",
        "dear.fp32",
        "middling.bin",
        "middling.fp32",
    ]
    assert SearchLog.model_validate_json(done.log.model_dump_json()) == done.log


def test_where_nothing_holds_the_error_names_the_nearest(tmp_path: Path):
    schemes = [Made({"a": 30, "b": 12}).scheme(tmp_path, "x", 1), Made({"a": 15}).scheme(tmp_path, "y", 2)]
    with pytest.raises(NothingHoldsError) as caught:
        search(schemes, 0.005, tmp_path)
    assert caught.value.line() == (
        "quantise.max_drop: no scheme keeps the score within 0.005 of fp32's 1.0000; the nearest is x with a in higher "
        "precision, 0.0120 below; allow 0.012, ask for another scheme, or ship fp32"
    )
    assert sorted(path.name for path in tmp_path.iterdir()) == ["x.fp32", "y.fp32"]
    assert len(caught.value.log.trials) == 5


@settings(max_examples=80, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40), st.integers(100, 9000)), min_size=2, max_size=12), st.integers(0, 120))
def test_a_file_that_wins_saves_a_tenth_of_the_bytes_at_least(layers: list[tuple[int, int]], allowed: int):
    losses = {f"layer.{number}": loss for number, (loss, _) in enumerate(layers)}
    made = Made(losses, sizes={f"layer.{number}": size for number, (_, size) in enumerate(layers)})
    trial = outcome(made, allowed)
    if isinstance(trial, NothingHoldsError):
        assert trial.nearest.drop > allowed / 1000
    else:
        assert trial.drop <= allowed / 1000 + 1e-9
        assert trial.size_bytes <= 0.9 * sum(made.sizes.values()) + 1


def test_where_giving_back_what_moves_most_would_save_nothing_the_large_layers_stay_quantised(tmp_path: Path):
    sizes = {"embeddings": 60_000, "a": 2000, "b": 2000, "c": 2000}
    scheme = Made({"embeddings": 4, "a": 3, "b": 3, "c": 1}, sizes=sizes).scheme(tmp_path)
    done = search([scheme], 0.005, tmp_path)
    scored = [(trial.purpose, trial.kept) for trial in done.log.trials if trial.purpose != "sensitivity"]
    # Without the embeddings, all else together saves less than a tenth.
    assert scored == [("whole", ()), ("lightest", ("a", "b")), ("lightest", ("a",))]
    assert done.winners[0].trial.kept == ("a", "b")
    assert json.loads(done.winners[0].path.read_text()) == ["embeddings", "c"]


def test_a_target_that_only_the_unquantised_file_reaches_is_not_reached_by_it_under_another_name(tmp_path: Path):
    sizes = {"embeddings": 60_000, "head": 10}
    scheme = Made({"embeddings": 9, "head": 0}, sizes=sizes).scheme(tmp_path)
    with pytest.raises(NothingHoldsError) as caught:
        search([scheme], 0.005, tmp_path)
    assert caught.value.nearest.kept == ()
    assert caught.value.line().endswith("allow 0.009, ask for another scheme, or ship fp32")


def test_of_files_that_hold_the_fastest_on_the_device_ships_and_of_equals_the_smallest(tmp_path: Path):
    schemes = [Made({"a": loss}).scheme(tmp_path, name, cost) for cost, (name, loss) in enumerate([("x", 4), ("y", 1)])]
    winners = search(schemes, 0.005, tmp_path, every=True).winners
    assert [winner.trial.scheme for winner in winners] == ["x", "y"]
    times = {"x.bin": 2.0, "y.bin": 3.0}

    def latency(paths: list[Path]) -> list[float]:
        return [times[path.name] for path in paths]

    chosen = choose(winners, 0.005, latency)
    assert (chosen.winner.trial.scheme, chosen.latency_ms) == ("x", {"x": 2.0, "y": 3.0})
    assert choose(winners, 0.001, latency).winner.trial.scheme == "y"
    smaller = Winner(winners[1].trial.model_copy(update={"size_bytes": 1}), winners[1].path)
    assert choose([winners[0], smaller], 0.005, lambda paths: [2.0] * len(paths)).winner is smaller
    with pytest.raises(EdgeDistilError, match="none of 2 quantised files loses at most 0"):
        choose(winners, 0.0, latency)


def own_answers(world) -> EvaluationSet:
    """Returns the dev texts, labelled with what the model answers, so that whatever quantising changes is a loss."""
    rows = world.evaluation
    return EvaluationSet(rows.input_ids, rows.offsets, world.reference.argmax(1), rows.ids)


def test_real_files_of_both_runtimes_are_brought_to_their_target(world, tmp_path: Path):
    def onnx(target: Path, kept) -> None:
        excluded = nodes_to_keep(world.files["onnx-fp32"], kept)
        quantize_dynamic(world.files["onnx-fp32"], target, nodes_to_exclude=excluded, reduce_range=True)

    labels = ["negative", "positive"]
    tflite, source = world.files["tflite-fp32"], world.files["onnx-fp32"]
    meter = partial(FileMeter, task=get_task("text-classification"), labels=labels, examples=own_answers(world))
    int4 = partial(quantise_tflite_int4, tflite, parts=list(PARTS))
    schemes = [
        Scheme(
            "int4", tflite, lambda target, kept: int4(target, keep=kept), int4_layers(tflite, list(PARTS)),
            meter("litert"), 1, ".tflite",
        ),
        Scheme("dynamic", source, onnx, layers_of_onnx(source), meter("onnxruntime"), 2, ".onnx"),
    ]  # fmt: skip
    done = search(schemes, 0.02, tmp_path, every=True)
    assert done.log.reference == {"int4": 1.0, "dynamic": 1.0}
    first = done.log.trials[0]
    assert not first.holds
    assert first.drop_interval[0] <= first.drop <= first.drop_interval[1]
    assert [winner.trial.scheme for winner in done.winners] == ["int4", "dynamic"]
    for winner, scheme in zip(done.winners, schemes, strict=True):
        lost = 1.0 - float(scheme.meter.statistics(winner.path)[:, 0].mean())
        assert lost == pytest.approx(winner.trial.drop)
        assert lost <= 0.02
    assert done.winners[0].trial.kept

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from accelerate.state import AcceleratorState
from tiny_tokens import LABELS
from torch import Tensor, nn

from edgedistil.distil import run as run_module
from edgedistil.distil.checkpoint import CheckpointFolder, RunState, Saved
from edgedistil.distil.dropout import dropping
from edgedistil.distil.evaluate import accuracy, predict_logits
from edgedistil.distil.following import Following
from edgedistil.distil.judge import Judgement
from edgedistil.distil.objective import Objective
from edgedistil.distil.precision import choose_precision
from edgedistil.distil.student import make_student
from edgedistil.distil.targets import compute_targets
from edgedistil.distil.teacher import open_teacher
from edgedistil.distil.trainer import TrainingResult, TrainingSet, train
from edgedistil.errors import EdgeDistilError
from edgedistil.models import load_model, save_model
from edgedistil.progress import SilentProgress
from edgedistil.recipe.schema import FineTune

SHORT = FineTune(epochs=1.2, learning_rate=1e-3, batch_size=32, evaluations_per_epoch=3)


def run(
    world,
    folder: Path,
    *,
    seed: int = 0,
    settings: FineTune = SHORT,
    data: TrainingSet | None = None,
    change: Callable[[nn.Module], None] = lambda model: None,
    **options: object,
) -> tuple:
    """Fine-tunes a fresh teacher; returns it and the run's result."""
    model = open_teacher(world.untrained, LABELS, fine_tuned=False, seed=1)
    change(model)
    objective = Objective({"hard_labels": 1.0})
    options = {"precision": "no", **options}
    return model, train(model, data or world.data, objective, settings, folder, seed=seed, **options)


def without_dropout(model: nn.Module) -> None:
    for module in model.modules():
        if isinstance(module, nn.Dropout):
            module.p = 0.0
        if hasattr(module, "dropout") and isinstance(module.dropout, float):
            module.dropout = 0.0


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


class InterruptedRunError(Exception):
    """What a kill is to a test."""


class Interrupting(SilentProgress):
    """Raises when the bar has come to a step."""

    def __init__(self, step: int) -> None:
        self.step = step
        self.done = 0.0
        self.total = 0.0

    @contextmanager
    def bar(self, description: str, total: float) -> Iterator[Interrupting]:
        self.total = total
        yield self

    def advance(self, amount: float = 1) -> None:
        self.done += amount
        if self.done == self.step:
            raise InterruptedRunError

    def describe(self, text: str) -> None:
        pass


def test_the_tiny_task_is_learnt(world):
    assert world.result.dev_score > 0.9
    model = load_model(world.folder)
    assert accuracy(predict_logits(model, world.data.dev), world.data.dev.labels) == world.result.dev_score
    assert world.result.steps == round(2.5 * 15)
    assert world.result.resumed_from == 0
    assert world.result.seconds > 0
    first, last = world.result.history[0]["hard_labels"], world.result.history[-1]["hard_labels"]
    assert last < 0.7 * first


def test_a_student_learns_from_the_teacher_alone(world, teacher, tmp_path: Path):
    targets = compute_targets(teacher, world.data.train, (2,), tmp_path)
    weights = {"soft_targets": 1.0, "hard_labels": 0.0, "hidden_states": 1.0}
    objective = Objective(weights, targets, Following(pairs=((1, 2),), temperature=2.0))
    student = make_student(teacher, 1)
    result = train(student, world.data, objective, SHORT, tmp_path / "run", seed=0, precision="no")
    assert result.dev_score > 0.9
    assert set(result.history[0]) == {"soft_targets", "hidden_states", "step", "epoch", "dev_score", "dev_loss"}
    assert result.history[-1]["hidden_states"] < result.history[0]["hidden_states"]


def test_a_run_that_was_interrupted_ends_with_the_same_weights(world, tmp_path: Path):
    whole, expected = run(world, tmp_path / "whole")
    with pytest.raises(InterruptedRunError):
        run(world, tmp_path / "cut", checkpoint_seconds=0, progress=Interrupting(8))
    progress = Interrupting(10_000)
    again, result = run(world, tmp_path / "cut", checkpoint_seconds=0, progress=progress)
    assert result.resumed_from == 7, "the step that raised was not yet written"
    assert progress.done == progress.total == expected.steps
    assert same(again.state_dict(), whole.state_dict())
    assert [record["dev_score"] for record in result.history] == [record["dev_score"] for record in expected.history]
    assert (result.best_step, result.steps) == (expected.best_step, expected.steps)
    assert result.history == expected.history, "losses are averaged over the steps before the kill too"


def test_what_is_kept_is_what_the_state_tells_of(tmp_path: Path):
    folder, nothing = CheckpointFolder(tmp_path), {"state": {}, "param_groups": []}
    kept, later = {"a": torch.zeros(1)}, {"a": torch.ones(1)}
    folder.save_best(kept, 5)
    folder.save(Saved(RunState(5, 0.5, 5), kept, nothing))
    folder.save_best(later, 10)
    assert same(folder.load_best(folder.load().state.best_step), kept), "a kill here leaves both"
    folder.save(Saved(RunState(12, 0.6, 10), later, nothing))
    assert same(folder.load_best(folder.load().state.best_step), later)
    assert [path.name for path in tmp_path.glob("*.safetensors")] == ["best-10.safetensors"]
    (tmp_path / "best-10.safetensors").unlink()
    assert folder.load() is None, "without it a run could not end as it says"


def test_a_finished_run_is_not_run_again(world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    first, expected = run(world, tmp_path, checkpoint_seconds=0)
    monkeypatch.setattr(run_module.Run, "step", lambda self: pytest.fail("a step was taken"))
    again, result = run(world, tmp_path, checkpoint_seconds=0)
    assert result.resumed_from == result.steps == expected.steps
    assert same(again.state_dict(), first.state_dict())


def test_the_seed_decides(world, tmp_path: Path):
    one, other, third = (run(world, tmp_path / name, seed=seed)[0] for name, seed in (("a", 0), ("b", 0), ("c", 5)))
    assert same(one.state_dict(), other.state_dict())
    assert not same(one.state_dict(), third.state_dict())


class Scores:
    """A judge whose scores a test has chosen."""

    metric = "made up"

    def __init__(self, *scores: float, losses: Sequence[float] = ()) -> None:
        self.scores = iter(scores)
        self.losses = iter(losses or itertools.repeat(0.0))
        self.seen: list[dict[str, Tensor]] = []

    def __call__(self, model, *, bf16: bool) -> Judgement:
        self.seen.append({name: value.clone() for name, value in model.state_dict().items()})
        return Judgement(next(self.scores), next(self.losses))


def test_the_best_checkpoint_is_kept(world, tmp_path: Path):
    judge = Scores(-2.0, -0.5, -0.5, -1.0)
    model, result = run(world, tmp_path, data=replace(world.data, judge=judge))
    assert len(judge.seen) == 4
    assert (result.dev_score, result.metric) == (-0.5, "made up")
    assert result.best_step == result.history[1]["step"] == 10, "of two equals the earlier one counts"
    assert same(model.state_dict(), judge.seen[1])
    assert not same(judge.seen[1], judge.seen[2])


def test_a_run_stops_when_the_score_no_longer_rises(world, tmp_path: Path):
    settings = SHORT.model_copy(update={"patience": 2, "epochs": 4})
    judge = Scores(0.5, 0.6, 0.55, 0.6, *[1.0] * 20)
    model, result = run(world, tmp_path, settings=settings, data=replace(world.data, judge=judge))
    assert result.stopped_early
    assert (result.steps, result.best_step, len(result.history)) == (20, 10, 4)
    assert same(model.state_dict(), judge.seen[1])
    again = Scores()
    _, resumed = run(world, tmp_path, settings=settings, data=replace(world.data, judge=again))
    assert (resumed.stopped_early, resumed.resumed_from, again.seen) == (True, 20, [])


def test_a_steps_examples_may_be_run_in_parts(world, tmp_path: Path):
    def trained(name: str, parts: int) -> tuple:
        settings = SHORT.model_copy(update={"accumulate": parts, "epochs": 0.4})
        return run(world, tmp_path / name, settings=settings, change=without_dropout)

    whole, expected = trained("whole", 1)
    for parts in (3, 32):
        model, result = trained(f"in-{parts}", parts)
        for one, other in zip(model.state_dict().values(), whole.state_dict().values(), strict=True):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)
        assert result.history[0]["hard_labels"] == pytest.approx(expected.history[0]["hard_labels"], rel=1e-3)


def test_a_run_may_drop_nothing_and_gives_the_model_its_own_dropout_back(world, tmp_path: Path):
    short = SHORT.model_copy(update={"epochs": 0.4})
    expected, _ = run(world, tmp_path / "changed", settings=short, change=without_dropout)
    model, _ = run(world, tmp_path / "asked", settings=short.model_copy(update={"dropout": 0.0}))
    assert same(model.state_dict(), expected.state_dict())
    own, _ = run(world, tmp_path / "own", settings=short)
    assert not same(own.state_dict(), expected.state_dict())

    def dropouts(of: nn.Module) -> list[float]:
        return [part.p for part in of.modules() if isinstance(part, nn.Dropout)] + [
            part.dropout for part in of.modules() if isinstance(getattr(part, "dropout", None), float)
        ]

    assert dropouts(model) == dropouts(own)
    assert min(dropouts(own)) > 0
    assert max(dropouts(expected)) == 0


def test_a_dropout_of_the_integer_nothing_is_set_as_any_other():
    model = nn.Sequential(nn.Dropout(0), nn.Dropout(0.2))
    with dropping(model, 0.1):
        assert [part.p for part in model] == [0.1, 0.1]
    assert [part.p for part in model] == [0, 0.2]


@pytest.mark.parametrize(("keep", "kept"), [("score", 1), ("loss", 2), ("last", 3)])
def test_the_checkpoint_that_is_asked_for_is_kept(world, tmp_path: Path, keep: str, kept: int):
    judge = Scores(0.5, 0.9, 0.7, 0.6, losses=(0.3, 0.2, 0.1, 0.4))
    settings = SHORT.model_copy(update={"keep": keep})
    model, result = run(world, tmp_path, settings=settings, data=replace(world.data, judge=judge))
    assert same(model.state_dict(), judge.seen[kept])
    assert result.dev_score == result.history[kept]["dev_score"]
    assert result.best_step == result.history[kept]["step"]


def test_a_loss_that_is_no_number_is_one_line(world, tmp_path: Path):
    wild = FineTune(epochs=1, learning_rate=0.99, batch_size=32)
    model = open_teacher(world.untrained, LABELS, fine_tuned=False, seed=1)
    with torch.no_grad():
        model.classifier.weight.fill_(float("inf"))
    with pytest.raises(EdgeDistilError) as caught:
        train(model, world.data, Objective({"hard_labels": 1.0}), wild, tmp_path, seed=0, precision="no")
    assert caught.value.line() == "the loss became nan at step 0; lower the learning rate"
    assert caught.value.exit_code == 1


@pytest.mark.parametrize("precision", ["no", "bf16"])
def test_what_leaves_training_is_a_plain_fp32_model(world, tmp_path: Path, precision: str):
    settings = FineTune(epochs=0.3, learning_rate=1e-3)
    model, _ = run(world, tmp_path / "run", settings=settings, precision=precision)
    assert not model.training
    assert {value.dtype for value in model.state_dict().values()} == {torch.float32}
    save_model(model, tmp_path / "model")
    fresh = load_model(tmp_path / "model")
    ids = torch.from_numpy(world.data.dev.tokens(0))[None]
    with torch.no_grad():
        trained, loaded = model(ids, torch.ones_like(ids)).logits, fresh(ids, torch.ones_like(ids)).logits
    assert trained.dtype == torch.float32
    assert torch.equal(trained, loaded)


def test_bf16_computes_in_bf16_while_it_trains(world, tmp_path: Path):
    exact, _ = run(world, tmp_path / "exact", settings=FineTune(epochs=0.1, learning_rate=1e-3))
    AcceleratorState._reset_state(True)
    rounded, _ = run(world, tmp_path / "rounded", settings=FineTune(epochs=0.1, learning_rate=1e-3), precision="bf16")
    assert not same(exact.state_dict(), rounded.state_dict())
    for one, other in zip(exact.state_dict().values(), rounded.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=5e-3)


def test_the_rate_rises_and_falls_to_zero(world, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    by_step: dict[int, float] = {}
    original = run_module.Run.learning_rate

    def recorded(self, step: int) -> float:
        by_step[step] = original(self, step)
        return by_step[step]

    monkeypatch.setattr(run_module.Run, "learning_rate", recorded)
    run(world, tmp_path, settings=FineTune(epochs=1, learning_rate=1e-3, batch_size=32, warmup_share=0.2))
    rates = list(by_step.values())
    assert len(rates) == 15
    assert rates[:3] == pytest.approx([1e-3 / 3, 2e-3 / 3, 1e-3])
    assert rates[3] == pytest.approx(1e-3)
    assert all(after < before for before, after in itertools.pairwise(rates[3:]))
    assert rates[-1] == pytest.approx(1e-3 / 12)


def test_biases_and_norms_are_not_decayed(world):
    model = open_teacher(world.untrained, LABELS, fine_tuned=False, seed=1)
    decayed, free = run_module.parameter_groups(model, FineTune(weight_decay=0.3))
    assert (decayed["weight_decay"], free["weight_decay"]) == (0.3, 0.0)
    names = {id(value): name for name, value in model.named_parameters()}
    assert {names[id(value)].rsplit(".", 1)[1] for value in decayed["params"]} == {"weight"}
    assert all("norm" in names[id(value)] or names[id(value)].endswith("bias") for value in free["params"])
    assert len(decayed["params"]) + len(free["params"]) == len(names)


def test_a_checkpoint_is_read_back_as_it_was_written(tmp_path: Path):
    folder = CheckpointFolder(tmp_path / "run")
    assert folder.load() is None
    state = RunState(3, 0.5, 3, [{"step": 3, "dev_score": 0.5}], 1.5, {"hard_labels": 2.0}, {"hard_labels": 4})
    weights = {"a": torch.randn(2, 3)}
    folder.save_best(weights, 3)
    folder.save(Saved(state, weights, {"state": {}, "param_groups": [{"lr": 0.1}]}))
    read = CheckpointFolder(tmp_path / "run").load()
    assert read is not None
    assert read.state == state
    assert same(read.weights, weights)
    assert read.optimiser["param_groups"] == [{"lr": 0.1}]
    assert same(folder.load_best(3), weights)
    assert not list((tmp_path / "run").glob("*.tmp"))


@pytest.mark.parametrize(
    ("capabilities", "precision"),
    [({"avx512_bf16": True}, "bf16"), ({"bf16": True}, "bf16"), ({"avx2": True, "amx_bf16": False}, "no"), ({}, "no")],
)
def test_bf16_is_for_a_processor_that_has_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], precision: str
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert choose_precision() == precision


@pytest.mark.parametrize(("native", "precision"), [(True, "bf16"), (False, "no")])
def test_bf16_is_for_a_gpu_that_does_not_emulate_it(monkeypatch: pytest.MonkeyPatch, native: bool, precision: str):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: native or including_emulation)
    assert choose_precision() == precision


def test_a_result_counts_the_rows_seen(world):
    result: TrainingResult = world.result
    assert result.examples_per_second == pytest.approx(result.steps * 480 / 15 / result.seconds)
    assert isinstance(world.data, TrainingSet)

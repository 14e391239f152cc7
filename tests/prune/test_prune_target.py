from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from latency_tables import latency_table
from torch import Tensor

from edgedistil.errors import UsageError
from edgedistil.models import EdgeBertForSequenceClassification
from edgedistil.prune import FileSize, Latency, PruneSettings, choose, prune, prune_to_target, score_model
from edgedistil.prune.costs import CostModel, model_cost
from edgedistil.prune.target import Answer, prune_family

Batches = list[tuple[Tensor, Tensor]]


class Device:
    """A device that is slower than its table by a factor and a fixed part."""

    def __init__(self, factor: float = 1.0, offset: float = 0.0) -> None:
        self.factor, self.offset, self.calls = factor, offset, 0

    def __call__(self, models: Sequence[EdgeBertForSequenceClassification]) -> list[float]:
        self.calls += 1
        table = latency_table()
        return [self.factor * table.predict(each.config.heads, each.config.ffn) + self.offset for each in models]


@pytest.mark.parametrize(("budget", "amount"), [("latency_ms", 8.0), ("speedup", 1.8), ("size_mb", 0.065)])
def test_the_prediction_is_within_the_target(
    model: EdgeBertForSequenceClassification, batches: Batches, budget: str, amount: float
) -> None:
    costs = FileSize("onnx-fp32") if budget == "size_mb" else Latency(latency_table())
    result = prune(model, batches, PruneSettings(amount, budget, block=8), costs=costs)
    asked = result.before / amount if budget == "speedup" else amount
    assert result.predicted <= asked
    assert result.predicted > 0.8 * asked
    assert result.predicted == pytest.approx(model_cost(costs, result.model.config))


def test_a_hit_is_measured_once(model: EdgeBertForSequenceClassification, batches: Batches) -> None:
    device = Device()
    answer = prune_to_target(model, batches, PruneSettings(2.0, "speedup", block=8), Latency(latency_table()), device)
    assert device.calls == 1
    assert answer.miss is not None
    assert abs(answer.miss) <= 0.08
    assert answer.predicted == pytest.approx(answer.measured)
    assert answer.line().startswith("asked 2x, predicted 2.")


def test_prediction_and_measurement_are_told_apart(model: EdgeBertForSequenceClassification, batches: Batches) -> None:
    settings = PruneSettings(2.0, "speedup", block=8)
    answer = prune_to_target(model, batches, settings, Latency(latency_table()), Device(3.0))
    assert answer.predicted == pytest.approx(answer.measured)
    assert answer.result.predicted == pytest.approx(answer.attempts[-1].measured / 3.0)


@pytest.mark.parametrize("device", [Device(1.5), Device(1.0, 1.5), Device(1.3, 1.0), Device(0.7, 0.5)])
@pytest.mark.parametrize(("budget", "amount"), [("latency_ms", 7.0), ("speedup", 2.2)])
def test_a_miss_corrects_the_table_and_searches_once_more(
    model: EdgeBertForSequenceClassification, batches: Batches, device: Device, budget: str, amount: float
) -> None:
    device.calls = 0
    answer = prune_to_target(model, batches, PruneSettings(amount, budget, block=8), Latency(latency_table()), device)
    assert answer.miss is not None
    assert abs(answer.miss) <= 0.08
    assert device.calls == len(answer.attempts) <= 2
    if len(answer.attempts) == 2:
        assert answer.attempts[1].predicted == pytest.approx(answer.attempts[1].measured)


def test_a_correction_that_leads_farther_away_is_not_followed(
    model: EdgeBertForSequenceClassification, batches: Batches
) -> None:
    """A clock that reads 6 % too much, and the second time 12 % too little."""
    truth, readings = Device(), iter([1.06, 0.88])

    def wavering(models: Sequence[EdgeBertForSequenceClassification]) -> list[float]:
        before, after = truth(models)
        return [before, after * next(readings)]

    settings = PruneSettings(2.0, "speedup", block=8)
    answer = prune_to_target(model, batches, settings, Latency(latency_table()), wavering)
    plain = prune(model, batches, settings, costs=Latency(latency_table()))
    assert len(answer.attempts) == 2
    assert answer.chosen == 0
    assert answer.result.model.config == plain.model.config
    assert answer.predicted / answer.measured == pytest.approx(1.06)


class Files:
    """Files that are larger than foretold by a share of what they hold, and by what a layer's graph takes."""

    def __init__(self, share: float, layer: int) -> None:
        self.share, self.layer, self.calls = share, layer, 0

    def __call__(self, models: Sequence[EdgeBertForSequenceClassification]) -> list[float]:
        self.calls += 1
        costs = FileSize("onnx-fp32")
        graphs = [self.layer * sum(map(bool, (*each.config.heads, *each.config.ffn))) / 1e6 for each in models]
        return [
            model_cost(costs, each.config) * (1 + self.share) + graph
            for each, graph in zip(models, graphs, strict=True)
        ]


@pytest.mark.parametrize("files", [Files(0.0, 0), Files(0.012, 0), Files(0.0, 50), Files(0.05, 300), Files(-0.1, 400)])
@pytest.mark.parametrize("amount", [0.065, 0.072, 0.087])
def test_a_files_size_is_never_above_what_was_asked_for(
    model: EdgeBertForSequenceClassification, batches: Batches, files: Files, amount: float
) -> None:
    files.calls = 0
    settings = PruneSettings(amount, "size_mb", block=1)
    answer = prune_to_target(model, batches, settings, FileSize("onnx-fp32"), files)
    assert answer.measured == files([answer.result.model])[0]
    assert 0.97 * amount < answer.measured <= amount
    assert files.calls - 1 == len(answer.attempts) <= 4


@pytest.mark.parametrize(
    ("settings", "costs"),
    [
        (PruneSettings(1.0, "speedup", block=8, score="magnitude"), Latency(latency_table())),
        (PruneSettings(1.0, "speedup", block=3, local_search=4, refit=True), Latency(latency_table(), 0.1, 0.7)),
        (PruneSettings(1.0, "macs", block=8, rescale=True, rearrange=True), None),
        (PruneSettings(1.0, "parameters", block=8, score="fisher_block", local_search=4, refit=True), None),
        (PruneSettings(1000.0, "latency_ms", block=8, score="fisher"), Latency(latency_table())),
    ],
)
def test_where_all_may_stay_nothing_changes(
    model: EdgeBertForSequenceClassification, batches: Batches, settings: PruneSettings, costs: CostModel | None
) -> None:
    """Not even blocks that do nothing."""
    with torch.no_grad():
        model.encoder.layers[1].attention.output.weight[:, :6] = 0.0
        model.encoder.layers[0].ffn.down.weight[:, :24] = 0.0
    result = prune(model, batches, settings, costs=costs)
    assert not any(result.levels)
    for name, value in model.state_dict().items():
        assert torch.equal(result.model.state_dict()[name], value), name


def test_a_sum_in_another_order_removes_nothing(model: EdgeBertForSequenceClassification, batches: Batches) -> None:
    settings = PruneSettings(1.0, "speedup", block=8, score="magnitude")
    scores = score_model(model, batches, settings)
    for number in range(20):
        costs = Latency(latency_table(), offset=0.1 * number, scale=1 / (3 + number))
        assert not any(choose(model, scores, settings, costs))


def test_an_impossible_target_is_refused_before_anything_is_scored(model: EdgeBertForSequenceClassification) -> None:
    with pytest.raises(UsageError, match="is impossible"):
        prune_to_target(model, [], PruneSettings(0.1, "latency_ms"), Latency(latency_table()))


def test_a_family_goes_from_one_to_the_next(model: EdgeBertForSequenceClassification, batches: Batches) -> None:
    costs = Latency(latency_table())
    settings = PruneSettings(1.5, "speedup", block=8)

    def step(current: EdgeBertForSequenceClassification, asked: PruneSettings) -> Answer:
        return prune_to_target(current, batches, asked, costs, Device(1.2), whole=model)

    answers = prune_family(model, [1.5, 2.0, 3.0], settings, step)
    whole = model_cost(costs, model.config)
    previous = model.config
    for answer, target in zip(answers, [1.5, 2.0, 3.0], strict=True):
        config = answer.result.model.config
        assert answer.asked == target
        assert answer.measured == pytest.approx(whole / model_cost(costs, config))
        assert 0.8 * whole / target < model_cost(costs, config) <= whole / target + 1e-9
        assert all(after <= before for after, before in zip(config.heads, previous.heads, strict=True))
        assert all(after <= before for after, before in zip(config.ffn, previous.ffn, strict=True))
        previous = config

from __future__ import annotations

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from latency_tables import latency_table

from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.models import EdgeBertConfig, EdgeBertForSequenceClassification
from edgedistil.prune import Counted, FileSize, Latency, PruneSettings
from edgedistil.prune.blocks import sublayers_of
from edgedistil.prune.costs import allowance, cost_model, level_costs, model_cost
from edgedistil.prune.target import check_target


@settings(max_examples=30, deadline=None)
@given(
    heads=st.lists(st.integers(0, 4), min_size=3, max_size=3),
    ffn=st.lists(st.integers(0, 40), min_size=3, max_size=3),
)
def test_a_models_latency_is_what_the_table_predicts(heads: list[int], ffn: list[int]) -> None:
    table = latency_table()
    config = EdgeBertConfig(hidden_size=24, head_size=6, heads=heads, ffn=ffn)
    assert model_cost(Latency(table), config) == pytest.approx(table.predict(heads, ffn))
    slower = Latency(table, offset=0.25, scale=2.0)
    assert model_cost(slower, config) == pytest.approx(2 * table.predict(heads, ffn) + 0.25)


def test_the_last_layer_costs_what_the_last_layer_costs() -> None:
    table = latency_table()
    config = EdgeBertConfig(hidden_size=24, head_size=6, heads=[4, 4, 4], ffn=[40, 40, 40])
    rows = {
        sublayer.name: level_costs(config, sublayer, tuple(range(len(sublayer.blocks))), Latency(table))
        for sublayer in sublayers_of(config, 8)
    }
    assert rows["layer 0 attention"] == pytest.approx([2.0, 1.7, 1.4, 0.9, 0.0])
    assert rows["layer 2 attention"] == pytest.approx([1.0, 0.75, 0.5, 0.25, 0.0])
    assert rows["layer 1 ffn"] == pytest.approx([4.0, 3.2, 2.4, 1.6, 0.8, 0.0])
    assert rows["layer 2 ffn"] == pytest.approx([0.1, 0.08, 0.06, 0.04, 0.02, 0.0])


def test_an_impossible_target_names_the_nearest_possible_one(model: EdgeBertForSequenceClassification) -> None:
    costs = Latency(latency_table())
    whole, rest = model_cost(costs, model.config), 0.5
    with pytest.raises(UsageError) as caught:
        check_target(model.config, PruneSettings(0.4, "latency_ms"), costs)
    assert str(caught.value) == (
        "prune.latency_ms: 0.4 ms is impossible: a model without any head or neuron takes 0.5 ms; ask for at least 0.5"
    )
    with pytest.raises(UsageError, match=rf"100 times faster is impossible.*{whole / rest:.2f} times faster"):
        check_target(model.config, PruneSettings(100.0, "speedup"), costs)
    check_target(model.config, PruneSettings(math.floor(100 * whole / rest) / 100, "speedup"), costs)
    with pytest.raises(UsageError, match=r"0\.001 MB is impossible"):
        check_target(model.config, PruneSettings(0.001, "size_mb"), FileSize("onnx-fp32"))


def test_a_budget_in_milliseconds_needs_a_table() -> None:
    with pytest.raises(UsageError, match=r"prune.speedup: the budget needs a device's latency table"):
        cost_model(PruneSettings(2.0, "speedup"), None)
    with pytest.raises(UsageError, match=r"prune.size_mb: the budget needs a file format"):
        cost_model(PruneSettings(2.0, "size_mb"), None)
    assert cost_model(PruneSettings(0.5, "macs"), None) == Counted("macs", 128)


def test_a_table_of_another_shape_is_refused() -> None:
    with pytest.raises(EdgeDistilError, match="the latency table is of 3 layers of 24, the model has 6 of 384"):
        allowance(PruneSettings(2.0, "speedup"), Latency(latency_table()), EdgeBertConfig())


@pytest.mark.parametrize(
    ("amount", "budget", "line"),
    [
        (0.5, "speedup", "prune.speedup: a pruning budget of 0.5 cannot be reached; give a number of at least 1"),
        (0.0, "latency_ms", "prune.latency_ms: a pruning budget of 0 cannot be reached; give a number above 0"),
        (float("nan"), "size_mb", "prune.size_mb: a pruning budget of nan cannot be reached"),
    ],
)
def test_bad_amounts_are_one_line(amount: float, budget: str, line: str) -> None:
    with pytest.raises(UsageError) as caught:
        PruneSettings(amount, budget)
    assert line in str(caught.value)


@pytest.mark.parametrize("name", ["onnx-int8", "tflite-int8", "tflite-fp32"])
def test_a_trimmed_vocabulary_is_counted_before_it_is_trimmed(name: str) -> None:
    config, smaller = (
        EdgeBertConfig(vocab_size=size, hidden_size=24, head_size=6, heads=[4], ffn=[40]) for size in (900, 200)
    )
    assert model_cost(FileSize(name, pieces=200), config) == pytest.approx(model_cost(FileSize(name), smaller))

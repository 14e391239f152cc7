from __future__ import annotations

import pytest
from pydantic import ValidationError

from edgedistil.recipe.schema import Distil, FineTune, Losses, Ramp

FINE_TUNE = {
    "epochs": 2.0,
    "batch_size": 32,
    "learning_rate": 5e-5,
    "warmup_share": 0.06,
    "weight_decay": 0.01,
    "evaluations_per_epoch": 2,
}
LOSSES = {"soft_targets": 1.0, "hard_labels": 0.5, "hidden_states": 1.0}


def test_the_keys_of_finished_stages_stay_valid():
    assert FineTune().key() == FINE_TUNE
    assert Distil().key() == {
        **FINE_TUNE,
        "epochs": 4.0,
        "learning_rate": 1e-4,
        "temperature": 2.0,
        "losses": LOSSES,
    }
    assert Losses(soft_targets=1, relations=0).key() == LOSSES


@pytest.mark.parametrize(
    "changed",
    [
        {"accumulate": 2},
        {"patience": 3},
        {"freeze_embeddings": True},
        {"layer_map": "skip"},
        {"layer_map": [(1, 2)]},
        {"attention_by": "kl"},
        {"relation_heads": 4},
        {"relation_layer": 2},
        {"cosine_on": "layers"},
        {"teacher_outputs": "loop"},
        {"stages": [{"losses": {"relations": 1}, "epochs": 1}]},
        {"losses": {"relations": 0.5}},
        {"losses": {"hard_labels": {"start": 0.5, "end": 0.5}}},
    ],
)
def test_whatever_changes_the_result_changes_the_key(changed: dict):
    assert Distil(**changed).key() != Distil().key()


@pytest.mark.parametrize(
    ("shape", "weights"),
    [("linear", [1, 1, 0.5, 0, 0]), ("step", [1, 1, 0, 0, 0]), ("cosine", [1, 1, 0.5, 0, 0])],
)
def test_a_weight_goes_from_start_to_end(shape: str, weights: list[float]):
    ramp = Ramp(start=1.0, end=0.0, shape=shape, from_share=0.2, to_share=0.6)
    assert [ramp.at(share) for share in (0.0, 0.2, 0.4, 0.6, 1.0)] == pytest.approx(weights)
    later = 0.2 + 0.4 * 0.25
    assert ramp.at(later) == pytest.approx({"linear": 0.75, "step": 1.0, "cosine": 0.8536}[shape], abs=1e-4)


@pytest.mark.parametrize(
    ("section", "message"),
    [
        ({"losses": {"soft_targets": 0, "hard_labels": 0, "hidden_states": 0}}, "every loss has weight 0"),
        ({"stages": [{"losses": {}, "epochs": 1}]}, "every loss has weight 0"),
        ({"losses": {"hard_labels": {"start": 1, "end": 0, "from_share": 0.5, "to_share": 0.5}}}, "must be below"),
        ({"losses": {"hard_labels": {"start": -1, "end": 0}}}, "greater than or equal to 0"),
        ({"losses": {"relation": 1}}, "Extra inputs"),
        ({"layer_map": "every"}, "'alternate', 'skip' or 'last'"),
        ({"stages": []}, "at least 1 item"),
    ],
)
def test_what_makes_no_sense_is_refused(section: dict, message: str):
    with pytest.raises(ValidationError, match=message):
        Distil(**section)


def test_a_stage_names_its_losses_and_no_others():
    distil = Distil(
        stages=[{"losses": {"attention_maps": 1}, "epochs": 1}, {"losses": {"soft_targets": 2}, "epochs": 2}]
    )
    assert distil.all_losses == ("attention_maps", "soft_targets")
    assert distil.all_epochs == 3

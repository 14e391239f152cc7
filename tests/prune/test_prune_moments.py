from __future__ import annotations

import copy

import pytest
import torch
from torch import Tensor

from edgedistil.errors import UsageError
from edgedistil.models import EdgeBertForSequenceClassification
from edgedistil.progress import SilentProgress
from edgedistil.prune.blocks import sublayers_of
from edgedistil.prune.moments import collect_moments, probe

Batches = list[tuple[Tensor, Tensor]]


def test_moments_are_those_of_the_real_tokens(model: EdgeBertForSequenceClassification, batches: Batches) -> None:
    sublayers = sublayers_of(model.config, block=8)
    moments = collect_moments(model, batches, sublayers, SilentProgress())
    seen: list[Tensor] = []
    handle = model.encoder.layers[1].ffn.down.register_forward_pre_hook(lambda _m, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        for ids, mask in batches:
            for row, length in zip(ids, mask.sum(1), strict=True):
                model(row[None, :length])
    handle.remove()
    tokens = torch.cat([each[0] for each in seen]).double()
    found = moments[[sublayer.name for sublayer in sublayers].index("layer 1 ffn")]
    assert found.tokens == len(tokens)
    assert found.examples == 64
    torch.testing.assert_close(found.mean(), tokens.mean(0), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(found.covariance(), torch.cov(tokens.T, correction=0), rtol=1e-3, atol=1e-5)
    damped = found.covariance(0.1).diagonal() - found.covariance().diagonal()
    torch.testing.assert_close(damped, (0.1 * found.covariance().diagonal().mean()).expand(40))


def test_calibration_leaves_the_model_alone(model: EdgeBertForSequenceClassification, batches: Batches) -> None:
    before = copy.deepcopy(model.state_dict())
    model.train()
    random = torch.get_rng_state()
    collect_moments(model, batches, sublayers_of(model.config), SilentProgress())
    assert model.training
    assert torch.equal(random, torch.get_rng_state())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in model.parameters())
    assert not any(module._forward_hooks for module in model.modules())
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_sensitivity_tells_how_far_the_logits_move(model: EdgeBertForSequenceClassification, batches: Batches) -> None:
    sublayers = sublayers_of(model.config)
    last = len(sublayers) - 1
    # Many draws of the random projection, so that its noise averages out.
    moments = collect_moments(model, batches * 30, sublayers, SilentProgress())[last]
    step = 1e-3
    squared = torch.zeros(24, dtype=torch.float64)
    with torch.no_grad():
        for row in range(24):
            moved = copy.deepcopy(model)
            moved.encoder.layers[-1].ffn.down.bias[row] += step
            for ids, mask in batches:
                change = ((moved(ids, mask).logits - model(ids, mask).logits) / step).double()
                squared[row] += (change - change.mean(1, keepdim=True)).square().sum() / 64
    # In the last layer only the first token reaches the logits, so one bias is one token's output.
    torch.testing.assert_close(moments.sensitivity(), squared, rtol=0.3, atol=0.02 * float(squared.max()))


@pytest.mark.parametrize(("shape", "alike"), [((16, 9, 2), 1), ((16, 9, 4), 2), ((16, 3), 1)])
def test_what_a_softmax_does_not_see_is_not_probed(batches: Batches, shape: tuple[int, ...], alike: int) -> None:
    """The same added to all its logits, and whatever padding has: a span's softmax goes over the real tokens."""
    mask = batches[1][1]
    logits, shift = torch.randn(shape), torch.randn([1 if axis == alike else size for axis, size in enumerate(shape)])

    def probed(values: torch.Tensor) -> torch.Tensor:
        return probe(values, mask, torch.Generator().manual_seed(4), over_sequence=alike < len(shape) - 1)

    moved = logits + shift
    if len(shape) > 2:
        moved[mask == 0] = 100.0
    torch.testing.assert_close(probed(moved), probed(logits), rtol=1e-4, atol=1e-4)
    assert float(probed(2 * logits).abs()) > 1


def test_a_classifier_of_zeros_makes_all_outputs_equal(
    model: EdgeBertForSequenceClassification, batches: Batches
) -> None:
    with torch.no_grad():
        model.classifier.weight.zero_()
    for each in collect_moments(model, batches, sublayers_of(model.config), SilentProgress()):
        assert torch.equal(each.sensitivity(), torch.ones(24, dtype=torch.float64))


@pytest.mark.parametrize("nothing", [[], [(torch.ones(2, 3, dtype=torch.long), torch.zeros(2, 3, dtype=torch.long))]])
def test_no_text_is_refused(model: EdgeBertForSequenceClassification, nothing: Batches) -> None:
    with pytest.raises(UsageError, match="there is no text to calibrate pruning with"):
        collect_moments(model, nothing, sublayers_of(model.config), SilentProgress())

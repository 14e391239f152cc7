from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistil.quantise.fake import ActivationQuantiser, fake_activation, fake_weight
from edgedistil.quantise.ranges import scale_and_zero

ENDS = st.tuples(st.floats(-50, 0), st.floats(0.01, 50))


@settings(max_examples=25)
@given(ENDS)
def test_activations_are_rounded_as_torch_s_own_integers_are(ends):
    values = torch.linspace(-60, 60, 301)
    low, high = (torch.tensor(end, dtype=torch.float32) for end in ends)
    scale = (high - low) / 255
    exact = torch.fake_quantize_per_tensor_affine(values, float(scale), int((-low / scale).round()), 0, 255)
    off = (fake_activation(values, low, high) - exact).abs()
    # A value half-way between two numbers may go either way.
    assert float(off.max()) <= 1.001 * scale
    assert float((off < 1e-3 * scale).float().mean()) > 0.95


def test_a_range_s_step_and_zero_are_those_of_its_255_steps():
    assert scale_and_zero((-1.0, 1.55)) == (pytest.approx(0.01), 100)
    assert scale_and_zero((0.0, 2.55)) == (pytest.approx(0.01), 0)


def test_gradients_pass_inside_the_range_and_move_its_ends_outside():
    values = torch.tensor([-3.0, -0.4, 0.7, 5.0], requires_grad=True)
    low, high = torch.tensor(-1.0, requires_grad=True), torch.tensor(2.0, requires_grad=True)
    fake_activation(values, low, high).sum().backward()
    assert values.grad.tolist() == [0.0, 1.0, 1.0, 0.0]
    # A clipped value is its end; what is inside moves the ends by its rounding error alone, less than a step's.
    assert float(low.grad) == pytest.approx(1.0, abs=0.02)
    assert float(high.grad) == pytest.approx(1.0, abs=0.02)


def test_a_weight_s_rows_have_their_own_scale_and_pass_gradients():
    weight = torch.tensor([[1.0, -0.45, 0.2], [100.0, -45.0, 20.1]], requires_grad=True)
    found = fake_weight(weight, bits=4)
    assert found[0].tolist() == pytest.approx([1.0, -3 / 7, 1 / 7])
    assert float((found - weight).detach().abs()[0].max()) <= 0.5 / 7 + 1e-6
    found.sum().backward()
    assert torch.equal(weight.grad, torch.ones(2, 3))


def test_a_moving_range_follows_what_is_seen_only_while_training():
    quantiser = ActivationQuantiser("ema")
    quantiser.set_range(-1.0, 1.0)
    quantiser.eval()(torch.tensor([-9.0, 9.0]))
    assert quantiser.range() == (-1.0, 1.0)
    quantiser.train()(torch.tensor([-9.0, 9.0]), watch=False)
    assert quantiser.range() == (-1.0, 1.0)
    quantiser(torch.tensor([-9.0, 9.0]))
    assert quantiser.range() == pytest.approx((-1.08, 1.08))

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor
from transformers import BertForSequenceClassification

from edgedistil.models import EdgeBertConfig, EdgeBertForSequenceClassification, from_checkpoint, keep

Batch = tuple[Tensor, Tensor]


def unequal(theirs: BertForSequenceClassification) -> EdgeBertForSequenceClassification:
    return keep(from_checkpoint(theirs), [[0, 2], [], [1], [0, 1, 2, 3]], [range(64), range(32), [], range(9)])


def test_a_row_of_padding_gives_finite_logits(small_bert: BertForSequenceClassification, batch: Batch) -> None:
    mask = batch[1].clone()
    mask[1] = 0
    with torch.no_grad():
        assert unequal(small_bert)(batch[0], mask).logits.isfinite().all()


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_gives_finite_logits(
    small_bert: BertForSequenceClassification, batch: Batch, dtype: torch.dtype
) -> None:
    mask = batch[1].clone()
    mask[1] = 0
    with torch.no_grad():
        assert from_checkpoint(small_bert).to(dtype)(batch[0], mask).logits.isfinite().all()


def test_padding_does_not_reach_the_logits(small_bert: BertForSequenceClassification, batch: Batch) -> None:
    model = unequal(small_bert)
    with torch.no_grad():
        padded = model(*batch).logits
        for row, length in enumerate(batch[1].sum(1).tolist()):
            alone = model(batch[0][row : row + 1, :length]).logits
            torch.testing.assert_close(alone[0], padded[row], atol=1e-5, rtol=1e-5)


def test_int32_token_ids_are_taken(small_bert: BertForSequenceClassification, batch: Batch) -> None:
    model = unequal(small_bert)
    with torch.no_grad():
        short = model(batch[0].int(), batch[1].int()).logits
        torch.testing.assert_close(short, model(*batch).logits, atol=0, rtol=0)


def test_labels_give_the_mean_cross_entropy(small_bert: BertForSequenceClassification, batch: Batch) -> None:
    labels = torch.tensor([0, 1, 2, 1, 0])
    model = unequal(small_bert)
    output = model(*batch, labels=labels)
    expected = -output.logits.log_softmax(-1)[torch.arange(5), labels].mean()
    torch.testing.assert_close(output.loss, expected)
    output.loss.backward()
    assert all(parameter.grad is not None for parameter in model.parameters() if parameter.requires_grad)


def test_autocast_trains(small_bert: BertForSequenceClassification, batch: Batch) -> None:
    model = unequal(small_bert).train()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = model(*batch, labels=torch.tensor([0, 1, 2, 1, 0])).loss
    loss.backward()
    assert loss.isfinite()


@pytest.mark.parametrize(
    ("sizes", "line"),
    [
        ({"heads": [1, 2], "ffn": [8]}, "heads lists 2 layers and ffn lists 1"),
        ({"heads": [-1], "ffn": [8]}, "sizes must not be negative"),
        ({"classifier_activation": "gelu"}, "classifier_activation must be one of relu, tanh"),
    ],
)
def test_impossible_sizes_are_refused(sizes: dict[str, object], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        EdgeBertConfig(**sizes)


@pytest.mark.filterwarnings("ignore")
def test_onnx_takes_unequal_layers_and_any_shape(
    small_bert: BertForSequenceClassification, batch: Batch, tmp_path: Path
) -> None:
    runtime = pytest.importorskip("onnxruntime")
    model = unequal(small_bert)
    names = ["input_ids", "attention_mask"]
    torch.onnx.export(
        model,
        (batch[0][:2, :7], batch[1][:2, :7]),
        str(tmp_path / "model.onnx"),
        input_names=names,
        output_names=["logits"],
        dynamic_axes={name: {0: "batch", 1: "sequence"} for name in names},
        dynamo=False,
    )
    session = runtime.InferenceSession(str(tmp_path / "model.onnx"), providers=["CPUExecutionProvider"])
    with torch.no_grad():
        for rows, length in ((5, 17), (1, 3), (3, 1)):
            inputs = [part[:rows, :length] for part in batch]
            found = session.run(None, {name: part.numpy() for name, part in zip(names, inputs, strict=True)})[0]
            torch.testing.assert_close(torch.from_numpy(found), model(*inputs).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_litert_takes_unequal_layers(small_bert: BertForSequenceClassification, batch: Batch) -> None:
    litert_torch = pytest.importorskip("litert_torch")
    model = unequal(small_bert)
    inputs = {"input_ids": batch[0][1:2].int(), "attention_mask": batch[1][1:2].int()}
    converted = litert_torch.convert(model, sample_kwargs=inputs)
    with torch.no_grad():
        expected = model(**inputs).logits
    found = converted(**{name: value.numpy() for name, value in inputs.items()})
    found = found["logits"] if isinstance(found, dict) else found
    torch.testing.assert_close(torch.as_tensor(found), expected, atol=1e-4, rtol=1e-4)

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor
from transformers import (
    AutoModelForSequenceClassification,
    BertForSequenceClassification,
    BertModel,
    DistilBertConfig,
    DistilBertForSequenceClassification,
)

from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.models import (
    EdgeBertForSequenceClassification,
    distilbert_style,
    from_checkpoint,
    is_uniform,
    keep,
    load_model,
    root_config,
    save_model,
    save_plain,
    take_layers,
)

Batch = tuple[Tensor, Tensor]


def logits(model: torch.nn.Module, batch: Batch) -> Tensor:
    with torch.no_grad():
        return model(input_ids=batch[0], attention_mask=batch[1]).logits


def test_bert_gives_the_same_logits(small_bert: BertForSequenceClassification, batch: Batch) -> None:
    ours = from_checkpoint(small_bert)
    torch.testing.assert_close(logits(ours, batch), logits(small_bert, batch), atol=1e-5, rtol=0)
    assert ours.config.id2label == {0: "bad", 1: "fair", 2: "good"}


def test_bert_gives_the_same_hidden_states(small_bert: BertForSequenceClassification, batch: Batch) -> None:
    with torch.no_grad():
        theirs = small_bert(*batch, output_hidden_states=True).hidden_states
        ours = from_checkpoint(small_bert)(*batch, output_hidden_states=True).hidden_states
    assert len(ours) == len(theirs) == 5
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine[batch[1].bool()], other[batch[1].bool()], atol=1e-5, rtol=0)


def test_bert_token_types_are_used(small_bert: BertForSequenceClassification, batch: Batch) -> None:
    types = torch.zeros_like(batch[0])
    types[:, 4:] = 1
    with torch.no_grad():
        ours = from_checkpoint(small_bert)(*batch, token_type_ids=types).logits
        theirs = small_bert(*batch, token_type_ids=types).logits
    torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=0)
    assert not torch.allclose(ours, logits(small_bert, batch), atol=1e-3)


def test_distilbert_gives_the_same_logits(batch: Batch) -> None:
    torch.manual_seed(2)
    sizes = DistilBertConfig(
        vocab_size=97, dim=32, n_layers=2, n_heads=4, hidden_dim=64, max_position_embeddings=40, num_labels=4
    )
    theirs = DistilBertForSequenceClassification(sizes).eval()
    torch.testing.assert_close(logits(from_checkpoint(theirs), batch), logits(theirs, batch), atol=1e-5, rtol=0)


@pytest.mark.real
def test_the_real_teacher_gives_the_same_logits(real_teacher: Path, batch: Batch) -> None:
    theirs = AutoModelForSequenceClassification.from_pretrained(real_teacher, dtype=torch.float32).eval()
    torch.testing.assert_close(logits(from_checkpoint(real_teacher), batch), logits(theirs, batch), atol=1e-5, rtol=0)


def test_an_encoder_gets_a_fresh_classifier(
    small_bert: BertForSequenceClassification, batch: Batch, tmp_path: Path
) -> None:
    small_bert.bert.save_pretrained(tmp_path)
    model = from_checkpoint(tmp_path, labels=["no", "yes"])
    assert model.config.id2label == {0: "no", 1: "yes"}
    assert logits(model, batch).shape == (5, 2)
    theirs = BertModel.from_pretrained(tmp_path).eval()
    with torch.no_grad():
        mine, other = model.encoder(*batch).last_hidden_state, theirs(*batch).last_hidden_state
    torch.testing.assert_close(mine[batch[1].bool()], other[batch[1].bool()], atol=1e-5, rtol=0)
    torch.testing.assert_close(model.pre_classifier.weight, theirs.pooler.dense.weight)


def test_a_classifier_for_other_labels_is_drawn_afresh(
    small_bert: BertForSequenceClassification, tmp_path: Path
) -> None:
    small_bert.save_pretrained(tmp_path)
    assert from_checkpoint(tmp_path, labels=["no", "yes"]).classifier.weight.shape == (2, 32)


def test_names_from_tensorflow_are_known(
    small_bert: BertForSequenceClassification, batch: Batch, tmp_path: Path
) -> None:
    small_bert.save_pretrained(tmp_path)
    old = {
        key.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): value
        for key, value in load_file(tmp_path / "model.safetensors").items()
    }
    save_file(old, tmp_path / "model.safetensors")
    torch.testing.assert_close(logits(from_checkpoint(tmp_path), batch), logits(small_bert, batch))


def test_shards_and_old_files_are_read(small_bert: BertForSequenceClassification, batch: Batch, tmp_path: Path) -> None:
    small_bert.save_pretrained(tmp_path / "shards", max_shard_size="20KB")
    assert (tmp_path / "shards" / "model.safetensors.index.json").is_file()
    small_bert.save_pretrained(tmp_path / "old", safe_serialization=False)
    for name in ("shards", "old"):
        torch.testing.assert_close(logits(from_checkpoint(tmp_path / name), batch), logits(small_bert, batch))


class _Evil:
    def __reduce__(self) -> tuple[object, tuple[str]]:
        return (print, ("executed",))


def test_a_pickle_that_runs_code_is_refused(
    small_bert: BertForSequenceClassification, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small_bert.save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").unlink()
    torch.save({"classifier.weight": _Evil()}, tmp_path / "pytorch_model.bin")
    with pytest.raises(UsageError, match=r"pytorch_model\.bin holds more than tensors; convert it"):
        from_checkpoint(tmp_path)
    assert "executed" not in capsys.readouterr().out


def test_distilbert_style_merges_token_types(small_bert: BertForSequenceClassification, batch: Batch) -> None:
    teacher = from_checkpoint(small_bert)
    student = distilbert_style(teacher)
    with torch.no_grad():
        torch.testing.assert_close(student.encoder(*batch).last_hidden_state, teacher.encoder(*batch).last_hidden_state)
    assert student.config.classifier_activation == "relu"
    assert teacher.config.type_vocab_size == 2
    with pytest.raises(ValueError, match="no token types"):
        student(batch[0], token_type_ids=batch[0])


@pytest.mark.parametrize("style", ["bert", "distilbert"])
def test_a_uniform_model_opens_in_transformers(
    small_bert: BertForSequenceClassification, batch: Batch, tmp_path: Path, style: str
) -> None:
    model = take_layers(from_checkpoint(small_bert), [1, 3])
    model = distilbert_style(model) if style == "distilbert" else model
    save_plain(model, tmp_path)
    theirs = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert theirs.config.model_type == style
    assert theirs.config.id2label == model.config.id2label
    torch.testing.assert_close(logits(model, batch), logits(theirs, batch), atol=1e-5, rtol=0)
    torch.testing.assert_close(logits(load_model(tmp_path), batch), logits(model, batch))


def test_an_unequal_model_saves_and_loads(
    small_bert: BertForSequenceClassification, batch: Batch, tmp_path: Path
) -> None:
    model = keep(from_checkpoint(small_bert), [[0, 2], [], [1], [0, 1, 2, 3]], [range(64), [], [1, 5], []])
    save_model(model, tmp_path)
    again = load_model(tmp_path)
    assert again.config.heads == [2, 0, 1, 4]
    assert again.config.ffn == [64, 0, 2, 0]
    torch.testing.assert_close(logits(again, batch), logits(model, batch), atol=0, rtol=0)
    auto = AutoModelForSequenceClassification.from_pretrained(tmp_path)
    assert isinstance(auto, EdgeBertForSequenceClassification)
    torch.testing.assert_close(logits(auto.eval(), batch), logits(model, batch), atol=0, rtol=0)


def test_an_unequal_model_names_a_known_type_at_the_root(small_bert: BertForSequenceClassification) -> None:
    model = keep(distilbert_style(from_checkpoint(small_bert)), [[0], [1], [2], [3]], [[0, 1]] * 3 + [[4]])
    config = root_config(model)
    assert not is_uniform(model.config)
    assert config["model_type"] == "distilbert"
    assert (config["n_heads"], config["dim"], config["hidden_dim"], config["n_layers"]) == (4, 32, 2, 4)
    assert config["id2label"] == {0: "bad", 1: "fair", 2: "good"}
    json.dumps(config)
    with pytest.raises(EdgeDistilError, match="unequal or joined layers"):
        save_plain(model, Path("never"))


def test_loading_leaves_the_random_numbers_alone(small_bert: BertForSequenceClassification, tmp_path: Path) -> None:
    save_model(from_checkpoint(small_bert), tmp_path)
    before = torch.get_rng_state()
    load_model(tmp_path)
    assert torch.equal(before, torch.get_rng_state())


CHANGED_KEYS = {
    "type": {"model_type": "robert"},
    "relative": {"position_embedding_type": "relative_key"},
    "sizes": {"intermediate_size": 32},
    "layers": {"num_hidden_layers": 5},
}
REPLACED_FILES = {
    "json": {"config.json": b"{"},
    "list": {"config.json": b"[]"},
    "config": {"config.json": None},
    "weights": {"model.safetensors": None},
    "torn": {"model.safetensors": b"torn"},
    "index": {
        "model.safetensors": None,
        "model.safetensors.index.json": b'{"weight_map": {"a": "../secret"}}',
    },
}


def _break(folder: Path, what: str) -> None:
    config = json.loads((folder / "config.json").read_text()) | CHANGED_KEYS.get(what, {})
    (folder / "config.json").write_text(json.dumps(config))
    for name, content in REPLACED_FILES.get(what, {}).items():
        (folder / name).unlink(missing_ok=True)
        if content is not None:
            (folder / name).write_bytes(content)
    if what == "folder":
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("what", "line"),
    [
        ("type", "model_type 'robert' is not supported; did you mean 'bert'?"),
        ("relative", "only encoders with absolute positions are supported"),
        ("sizes", r"ffn\.up\.weight has shape \[64, 32\], its configuration says \[32, 32\]"),
        ("layers", "the checkpoint lacks 16 tensors"),
        ("json", "config.json cannot be read as JSON"),
        ("list", "config.json is not a JSON object"),
        ("config", "no config.json in the checkpoint"),
        ("weights", "no weights in the checkpoint"),
        ("torn", "the weights cannot be read"),
        ("index", "names a file outside its folder"),
        ("folder", "no such folder"),
    ],
)
def test_a_bad_checkpoint_is_one_line(
    small_bert: BertForSequenceClassification, tmp_path: Path, what: str, line: str
) -> None:
    folder = tmp_path / "teacher"
    small_bert.save_pretrained(folder)
    _break(folder, what)
    with pytest.raises(UsageError, match=line) as caught:
        from_checkpoint(folder)
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)

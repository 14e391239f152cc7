from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import Tensor, nn
from transformers import BertConfig, DistilBertConfig, PreTrainedModel

from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.models import (
    MODELS,
    EdgeBertConfig,
    count_macs,
    count_parameters,
    distilbert_style,
    from_checkpoint,
    is_uniform,
    keep,
    load_model,
    masked,
    root_config,
    save_model,
    save_plain,
    take_layers,
)

Batch = tuple[Tensor, Tensor]
ENDINGS = {
    "sequence": "ForSequenceClassification",
    "token": "ForTokenClassification",
    "span": "ForQuestionAnswering",
    "masked-lm": "ForMaskedLM",
}
KINDS = [(kind, head) for kind in ("bert", "distilbert") for head in ENDINGS]


def theirs_of(kind: str, head: str, outputs: int = 3, **more: object) -> PreTrainedModel:
    """Returns a small random model of transformers' own, weights large enough that every part of it counts."""
    torch.manual_seed(4)
    sizes = {"vocab_size": 97, "max_position_embeddings": 40, "initializer_range": 0.3, **more}
    sizes |= {"num_labels": 2 if head == "span" else outputs}
    config = (
        BertConfig(hidden_size=32, num_hidden_layers=3, num_attention_heads=4, intermediate_size=64, **sizes)
        if kind == "bert"
        else DistilBertConfig(dim=32, n_layers=3, n_heads=4, hidden_dim=64, **sizes)
    )
    model = getattr(transformers, f"{'Bert' if kind == 'bert' else 'DistilBert'}{ENDINGS[head]}")(config)
    for name, value in model.named_parameters():
        if name.endswith("bias"):
            nn.init.normal_(value, std=0.3)
    return model.eval()


def answers(model: nn.Module, batch: Batch, **more: Tensor) -> Tensor:
    """Returns the logits of real tokens, or of texts; a span's start and end side by side."""
    with torch.no_grad():
        found = model(input_ids=batch[0], attention_mask=batch[1], **more)
    logits = torch.stack([found.start_logits, found.end_logits], -1) if "start_logits" in found else found.logits
    return logits if logits.ndim == 2 else logits[batch[1].bool()]


@pytest.mark.parametrize(("kind", "head"), KINDS)
def test_every_head_gives_transformers_own_logits(kind: str, head: str, batch: Batch, tmp_path: Path) -> None:
    theirs = theirs_of(kind, head)
    theirs.save_pretrained(tmp_path)
    for source in (theirs, tmp_path):
        ours = from_checkpoint(source)
        assert type(ours) is MODELS[head]
        assert not ours.config.drawn_head
        torch.testing.assert_close(answers(ours, batch), answers(theirs, batch), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("kind", "head"), KINDS)
def test_every_head_saves_as_what_transformers_opens(kind: str, head: str, batch: Batch, tmp_path: Path) -> None:
    model = take_layers(from_checkpoint(theirs_of(kind, head)), [0, 2])
    assert is_uniform(model.config)
    save_plain(model, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (name,) = config["architectures"]
    assert name == f"{'Bert' if kind == 'bert' else 'DistilBert'}{ENDINGS[head]}"
    theirs, report = getattr(transformers, name).from_pretrained(tmp_path, output_loading_info=True)
    assert not report["missing_keys"]
    assert not report["unexpected_keys"]
    torch.testing.assert_close(answers(theirs.eval(), batch), answers(model, batch), atol=1e-5, rtol=1e-5)
    again = load_model(tmp_path)
    assert type(again) is MODELS[head]
    torch.testing.assert_close(answers(again, batch), answers(model, batch), atol=0, rtol=0)


@pytest.mark.parametrize("head", ENDINGS)
def test_every_head_can_be_pruned_counted_and_saved(head: str, batch: Batch, tmp_path: Path) -> None:
    model = distilbert_style(from_checkpoint(theirs_of("bert", head)))
    kept = [[0, 2], [], [1]], [range(5), range(64), []]
    small = keep(model, *kept)
    torch.testing.assert_close(answers(small, batch), answers(masked(model, *kept), batch), atol=1e-4, rtol=1e-4)
    assert sum(value.numel() for value in small.parameters()) == count_parameters(small.config).total
    save_model(small, tmp_path)
    auto = getattr(transformers, f"AutoModel{ENDINGS[head]}").from_pretrained(tmp_path).eval()
    for again in (load_model(tmp_path), auto):
        assert type(again) is MODELS[head]
        torch.testing.assert_close(answers(again, batch), answers(small, batch), atol=0, rtol=0)


@pytest.mark.parametrize(("head", "macs"), [("sequence", 32 * 35), ("token", 7 * 32 * 3), ("span", 7 * 32 * 2)])
def test_a_heads_products_are_counted(head: str, macs: int) -> None:
    assert count_macs(from_checkpoint(theirs_of("bert", head)).config, 7).classifier == macs


@pytest.mark.parametrize("kind", ["bert", "distilbert"])
def test_a_regression_stays_one(kind: str, batch: Batch, tmp_path: Path) -> None:
    theirs = theirs_of(kind, "sequence", outputs=1)
    model = from_checkpoint(theirs)
    assert model.config.problem == "regression"
    save_plain(model, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["problem_type"] == "regression"
    again = transformers.AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    assert again.config.num_labels == 1
    torch.testing.assert_close(answers(again, batch), answers(theirs, batch), atol=1e-5, rtol=1e-5)
    assert load_model(tmp_path).config.problem == "regression"
    save_model(model, tmp_path / "own")
    assert load_model(tmp_path / "own").config.problem == "regression"


def test_a_head_for_another_task_is_drawn_afresh(tmp_path: Path) -> None:
    theirs = theirs_of("bert", "token")
    theirs.save_pretrained(tmp_path)
    kept = from_checkpoint(tmp_path, head="token").classifier.weight
    torch.testing.assert_close(kept, theirs.classifier.weight)
    as_texts = from_checkpoint(tmp_path, head="sequence")
    assert as_texts.classifier.weight.shape == kept.shape
    assert not torch.allclose(as_texts.classifier.weight, kept)
    assert from_checkpoint(tmp_path, head="span").config.id2label == {0: "start", 1: "end"}
    value = from_checkpoint(tmp_path, ["score"], head="sequence", problem="regression")
    assert value.classifier.weight.shape == (1, 32)
    assert from_checkpoint(tmp_path, problem="regression", head="sequence").config.id2label == {0: "score"}
    save_model(as_texts, tmp_path / "own")
    assert not torch.allclose(from_checkpoint(tmp_path / "own", head="token").classifier.weight, kept)


def test_masked_words_of_an_encoder_alone_say_that_their_head_is_drawn(batch: Batch, tmp_path: Path) -> None:
    theirs_of("bert", "token").save_pretrained(tmp_path)
    model = from_checkpoint(tmp_path, head="masked-lm")
    assert model.config.drawn_head
    assert answers(model, batch).shape == (int(batch[1].sum()), 97)
    save_model(model, tmp_path / "own")
    assert load_model(tmp_path / "own").config.drawn_head


def test_only_the_named_positions_get_words(batch: Batch) -> None:
    model = from_checkpoint(theirs_of("bert", "masked-lm"))
    wanted = torch.zeros_like(batch[1]).bool()
    wanted[0, 3], wanted[3, 11] = True, True
    with torch.no_grad():
        whole = model(*batch).logits
        torch.testing.assert_close(model(*batch, positions=wanted).logits, whole[wanted], atol=1e-5, rtol=1e-5)


def test_a_decoder_of_its_own_is_refused(tmp_path: Path) -> None:
    theirs_of("distilbert", "masked-lm").save_pretrained(tmp_path)
    weights = load_file(tmp_path / "model.safetensors")
    weights["vocab_projector.weight"] = weights["distilbert.embeddings.word_embeddings.weight"] + 1
    save_file(weights, tmp_path / "model.safetensors")
    with pytest.raises(UsageError) as caught:
        from_checkpoint(tmp_path)
    assert caught.value.line() == (
        f"{tmp_path}: its decoder is not tied to the word embedding; use a checkpoint with tie_word_embeddings"
    )


def test_joined_layers_are_read_side_by_side(batch: Batch, tmp_path: Path) -> None:
    theirs = theirs_of("bert", "token")
    model = from_checkpoint(theirs, joined_layers=2)
    assert model.classifier.weight.shape == (3, 64)
    with torch.no_grad():
        states = model(*batch, output_hidden_states=True).hidden_states
        expected = model.classifier(torch.cat(states[-2:], dim=-1))[batch[1].bool()]
    torch.testing.assert_close(answers(model, batch), expected)
    assert not is_uniform(model.config)
    assert count_parameters(model.config).classifier == 65 * 3
    assert root_config(model)["architectures"] == ["BertForTokenClassification"]
    with pytest.raises(EdgeDistilError, match="joined layers cannot be saved"):
        save_plain(model, tmp_path)
    save_model(model, tmp_path)
    torch.testing.assert_close(answers(load_model(tmp_path), batch), expected, atol=0, rtol=0)
    assert from_checkpoint(tmp_path, head="sequence").config.joined_layers == 1
    with pytest.raises(UsageError, match="4 layers cannot be joined, the model has 3; join 1 to 3"):
        from_checkpoint(theirs, joined_layers=4)


def test_layers_joined_later_start_from_the_plain_head(batch: Batch) -> None:
    plain = from_checkpoint(theirs_of("bert", "token"))
    joined = take_layers(plain, [0, 1, 2], joined_layers=3)
    torch.testing.assert_close(answers(joined, batch), answers(plain, batch), atol=1e-5, rtol=1e-5)
    back = take_layers(joined, [0, 1, 2], joined_layers=1)
    torch.testing.assert_close(answers(back, batch), answers(plain, batch), atol=0, rtol=0)
    with pytest.raises(UsageError, match="3 layers cannot be joined before the token head of a student of 2"):
        take_layers(joined, [0, 1])


@pytest.mark.parametrize("head", ENDINGS)
def test_projections_are_the_layers_queries_keys_and_values(head: str, batch: Batch) -> None:
    model = keep(from_checkpoint(theirs_of("bert", head)), [[0, 2], [], [1]], [range(64)] * 3)
    with torch.no_grad():
        found = model(*batch, output_hidden_states=True, output_projections=True)
        plain = model(*batch)
    torch.testing.assert_close(found.logits, plain.logits, atol=0, rtol=0)
    assert (plain.projections, plain.hidden_states) == (None, None)
    assert [tuple(parts[0].shape) for parts in found.projections] == [(5, 17, 16), (5, 17, 0), (5, 17, 8)]
    for number in (0, 2):
        attention = model.encoder.layers[number].attention
        for part, linear in zip(
            found.projections[number], (attention.query, attention.key, attention.value), strict=True
        ):
            torch.testing.assert_close(part, linear(found.hidden_states[number]))


PAIRS = [("a man plays the guitar .", "someone makes music"), ("yes", "no"), ("alone", None), ("one two three", "four")]


@pytest.mark.parametrize("head", ["sequence", "token", "span"])
def test_token_types_follow_from_the_separators(head: str, batch: Batch) -> None:
    theirs = theirs_of("bert", head)
    ids, mask = batch[0].clamp(min=5) * batch[1], batch[1]
    ids[0, 4], ids[0, 16], ids[1, 2], ids[1, 8], ids[3, 11] = 3, 3, 3, 3, 3
    types = torch.zeros_like(ids)
    types[0, 5:], types[1, 3:] = 1, 1
    model = from_checkpoint(theirs, separator_token_id=3)
    torch.testing.assert_close(
        answers(model, (ids, mask)), answers(theirs, (ids, mask), token_type_ids=types), atol=1e-5, rtol=1e-5
    )
    assert not torch.allclose(answers(from_checkpoint(theirs), (ids, mask)), answers(model, (ids, mask)), atol=1e-2)


def test_a_separator_survives_saving(batch: Batch, tmp_path: Path) -> None:
    model = from_checkpoint(theirs_of("bert", "sequence"), separator_token_id=7)
    save_plain(model, tmp_path / "plain")
    save_model(model, tmp_path / "own")
    for name in ("plain", "own"):
        assert load_model(tmp_path / name).config.separator_token_id == 7
    assert distilbert_style(model).config.separator_token_id is None
    assert "separator_token_id" not in root_config(from_checkpoint(theirs_of("bert", "sequence")))


@pytest.mark.real
def test_real_pairs_get_the_token_types_of_their_tokeniser(real_encoder: Path) -> None:
    tokeniser = Tokenizer.from_file(str(real_encoder / "tokenizer.json"))
    tokeniser.no_truncation()
    tokeniser.enable_padding()
    encoded = tokeniser.encode_batch([pair if pair[1] else pair[0] for pair in PAIRS])
    ids, mask, types = (
        torch.tensor([getattr(one, name) for one in encoded]) for name in ("ids", "attention_mask", "type_ids")
    )
    torch.manual_seed(0)
    theirs = transformers.BertForSequenceClassification.from_pretrained(real_encoder, dtype=torch.float32).eval()
    model = from_checkpoint(theirs, separator_token_id=tokeniser.token_to_id("[SEP]"))
    expected = answers(theirs, (ids, mask), token_type_ids=types)
    torch.testing.assert_close(answers(model, (ids, mask)), expected, atol=1e-5, rtol=1e-4)
    assert not torch.allclose(answers(theirs, (ids, mask)), expected, atol=1e-4), "the types matter"


def test_a_configuration_from_before_there_were_heads_loads(batch: Batch, tmp_path: Path) -> None:
    model = from_checkpoint(theirs_of("bert", "sequence"))
    save_model(model, tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    for key in ("head", "problem", "joined_layers", "separator_token_id", "drawn_head"):
        config.pop(key, None)
    (tmp_path / "config.json").write_text(json.dumps(config))
    again = load_model(tmp_path)
    assert (again.config.head, again.config.problem) == ("sequence", "classification")
    torch.testing.assert_close(answers(again, batch), answers(model, batch), atol=0, rtol=0)


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"head": "tokens"}, "head must be one of sequence, token, span, masked-lm"),
        ({"problem": "ranking"}, "problem must be one of classification, regression"),
        ({"head": "token", "joined_layers": 3, "heads": [1, 1]}, "joined_layers is 3, of 2 layers"),
        ({"joined_layers": 2}, "only the token head joins layers"),
    ],
)
def test_impossible_heads_are_refused(keys: dict[str, object], line: str) -> None:
    with pytest.raises(ValueError, match=line):
        EdgeBertConfig(**keys | ({"ffn": [1, 1]} if "heads" in keys else {}))


@pytest.mark.parametrize(
    ("head", "labels"),
    [
        ("token", torch.arange(85).view(5, 17) % 4 - 1),
        ("span", torch.tensor([[1, 3], [0, 0], [0, 0], [2, 9], [1, 1]])),
        ("masked-lm", torch.arange(85).view(5, 17) % 97),
        ("regression", torch.tensor([0.5, 1.0, 2.0, 0.0, 5.0])),
    ],
)
def test_labels_give_transformers_own_loss(head: str, labels: Tensor, batch: Batch) -> None:
    theirs = theirs_of("bert", "sequence" if head == "regression" else head, outputs=1 if head == "regression" else 3)
    labels = torch.where(labels < 0, -100, labels)
    given = {"start_positions": labels[:, 0], "end_positions": labels[:, 1]} if head == "span" else {"labels": labels}
    with torch.no_grad():
        expected = theirs(*batch, **given).loss
        torch.testing.assert_close(from_checkpoint(theirs)(*batch, labels=labels).loss, expected, rtol=1e-4, atol=1e-5)

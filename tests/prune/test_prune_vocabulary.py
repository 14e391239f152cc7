from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from edgedistil.errors import UsageError
from edgedistil.models import EdgeBertConfig, EdgeBertForSequenceClassification
from edgedistil.prune.vocabulary import Trimmed, choose_pieces, trim_model, trim_tokeniser, unknown_share
from edgedistil.tokeniser import read_tokeniser

LETTERS = "abcdefghijklmnopqrstuvwxyz"
WORDS = ["good", "bad", "film", "plot", "act", "##ing", "##ed", "##or", "dull", "warm", "rain", "sun"]
PIECES = ["[PAD]", *LETTERS, "[UNK]", "[CLS]", "[SEP]", *WORDS, *(f"##{letter}" for letter in LETTERS)]
TASK = ["good acting", "bad film", "dull plot"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    ids = {piece: number for number, piece in enumerate(PIECES)}
    made = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer()
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    made.add_special_tokens(["[PAD]", "[UNK]", "[CLS]", "[SEP]"])
    made.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", ids["[CLS]"]), ("[SEP]", ids["[SEP]"])]
    )
    target = tmp_path_factory.mktemp("whole")
    made.save(str(target / "tokenizer.json"))
    return target


def pieces_of(folder: Path, texts: list[str]) -> list[int]:
    encodings = read_tokeniser(folder).encode_batch(texts, add_special_tokens=False)
    return [piece for encoding in encodings for piece in encoding.ids]


def small(folder: Path, tmp_path: Path, general: list[str] | None = None, at_least: int = 1) -> tuple[Trimmed, Path]:
    trimmed = choose_pieces(folder, pieces_of(folder, TASK), general or [], general_at_least=at_least)
    trim_tokeniser(folder, trimmed, tmp_path / "small")
    return trimmed, tmp_path / "small"


def test_kept_text_gives_the_same_logits(folder: Path, tmp_path: Path) -> None:
    trimmed, target = small(folder, tmp_path)
    assert len(trimmed.kept) < trimmed.pieces == len(PIECES)
    torch.manual_seed(0)
    config = EdgeBertConfig(vocab_size=len(PIECES), hidden_size=24, head_size=6, heads=[4], ffn=[16], pad_token_id=0)
    model = EdgeBertForSequenceClassification(config).eval()
    smaller = trim_model(model, trimmed)
    assert smaller.config.vocab_size == len(trimmed.kept) == len(smaller.encoder.embeddings.word.weight)
    old, new = read_tokeniser(folder), read_tokeniser(target)
    for text in [*TASK, "bad acting good plot", "film film"]:
        before, after = old.encode(text), new.encode(text)
        assert before.tokens == after.tokens
        with torch.no_grad():
            assert torch.equal(model(torch.tensor([before.ids])).logits, smaller(torch.tensor([after.ids])).logits)


@settings(max_examples=60, deadline=None)
@given(word=st.text(alphabet=LETTERS, min_size=1, max_size=12))
def test_no_word_of_known_letters_becomes_unknown(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, word: str
) -> None:
    _, target = small(folder, tmp_path_factory.mktemp("trimmed"))
    tokens = read_tokeniser(target).encode(word, add_special_tokens=False).tokens
    assert "[UNK]" not in tokens
    assert "".join(token.removeprefix("##") for token in tokens) == word


def test_general_text_keeps_what_is_frequent(folder: Path, tmp_path: Path) -> None:
    trimmed, target = small(folder, tmp_path, ["rain rain sun"], at_least=2)
    vocabulary = read_tokeniser(target).get_vocab()
    assert "rain" in vocabulary
    assert "sun" not in vocabulary
    assert sorted(vocabulary.values()) == list(range(len(trimmed.kept)))
    assert (target / "vocab.txt").read_text().split("\n")[vocabulary["rain"]] == "rain"


def test_the_share_of_unknown_pieces_is_told(folder: Path, tmp_path: Path) -> None:
    _, target = small(folder, tmp_path)

    def share(*texts: str) -> float:
        found = read_tokeniser(target).encode_batch(list(texts))
        return unknown_share(target, np.array([piece for each in found for piece in each.ids], dtype=np.int32))

    assert share("good film", "bad") == 0.0
    assert share("good film \u00df \u4e2d") == pytest.approx(0.5)
    assert share() == 0.0


def test_a_letter_known_in_longer_pieces_alone_keeps_them(folder: Path, tmp_path: Path) -> None:
    fields = json.loads((folder / "tokenizer.json").read_text())
    fields["model"]["vocab"] |= {"stra\u00dfe": len(PIECES), "street": len(PIECES) + 1}
    (tmp_path / "tokenizer.json").write_text(json.dumps(fields))
    kept = choose_pieces(tmp_path, []).kept
    assert len(PIECES) in kept
    assert len(PIECES) + 1 not in kept


def test_tokens_that_were_added_behind_the_vocabulary_stay(folder: Path, tmp_path: Path) -> None:
    """As `add_tokens` of Hugging Face leaves them: one word, one special token, and a separator of its own."""
    whole, (word, mark) = read_tokeniser(folder), (len(PIECES), len(PIECES) + 1)
    assert whole.add_tokens(["#plot"]) == whole.add_special_tokens(["[END]"]) == 1
    fields = json.loads(whole.to_str())
    fields["post_processor"] = {"type": "BertProcessing", "sep": ["[END]", mark], "cls": ["[CLS]", 28]}
    added = {str(word): {"content": "#plot"}, str(mark): {"content": "[END]"}, "40": {"content": "rain"}}
    (tmp_path / "tokenizer.json").write_text(json.dumps(fields), encoding="utf-8")
    (tmp_path / "tokenizer_config.json").write_text(json.dumps({"added_tokens_decoder": added}), encoding="utf-8")
    trimmed = choose_pieces(tmp_path, pieces_of(folder, ["good film"]))
    assert trimmed.pieces == len(PIECES) + 2
    trim_tokeniser(tmp_path, trimmed, tmp_path / "small")
    old, new = read_tokeniser(tmp_path), read_tokeniser(tmp_path / "small")
    before, after = old.encode("good #plot film"), new.encode("good #plot film")
    assert after.tokens == before.tokens == ["[CLS]", "good", "#plot", "film", "[END]"]
    assert after.ids == [trimmed.new_ids[old_id] for old_id in before.ids]
    assert unknown_share(tmp_path / "small", np.array(after.ids)) == 0
    kept = json.loads((tmp_path / "small" / "tokenizer_config.json").read_text())["added_tokens_decoder"]
    assert kept == {str(len(trimmed.kept) - 2): {"content": "#plot"}, str(len(trimmed.kept) - 1): {"content": "[END]"}}


@pytest.mark.parametrize("lost", ["q", "##q", "[SEP]"])
def test_a_letter_without_a_piece_is_refused(folder: Path, tmp_path: Path, lost: str) -> None:
    kept = tuple(number for number, piece in enumerate(PIECES) if piece != lost)
    with pytest.raises(UsageError, match=f"'{lost[:2]}.*would be left without a piece".replace("[", r"\[")):
        trim_tokeniser(folder, Trimmed(kept, len(PIECES)), tmp_path / "small")


def test_another_kind_of_tokeniser_is_refused(tmp_path: Path) -> None:
    from tokenizers import Tokenizer, models

    Tokenizer(models.BPE()).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(UsageError, match="the tokeniser is BPE, only WordPiece can be trimmed"):
        choose_pieces(tmp_path, [])


def test_a_model_of_another_vocabulary_is_refused(folder: Path) -> None:
    trimmed = choose_pieces(folder, [])
    model = EdgeBertForSequenceClassification(
        EdgeBertConfig(vocab_size=5, hidden_size=24, head_size=6, heads=[1], ffn=[4])
    )
    with pytest.raises(UsageError, match=f"the tokeniser has {len(PIECES)} pieces, the model 5 embeddings"):
        trim_model(model, trimmed)


def test_the_file_stays_one_that_others_read(folder: Path, tmp_path: Path) -> None:
    _, target = small(folder, tmp_path)
    fields = json.loads((target / "tokenizer.json").read_text())
    ids = fields["model"]["vocab"]
    assert {token["content"]: token["id"] for token in fields["added_tokens"]} == {
        name: ids[name] for name in ("[PAD]", "[UNK]", "[CLS]", "[SEP]")
    }

from __future__ import annotations

import json
from pathlib import Path

import pytest
import tiny
from tokenizers import Tokenizer
from transformers import AutoTokenizer, pipeline

from edgedistil.errors import UsageError
from edgedistil.export.tokenizer import copy_tokenizer
from edgedistil.models import MODELS, EdgeBertConfig, save_plain

TEXTS = [text for _, text in tiny.sentences(20, 9)] + ["", "Unknown WORDS, café!", "film " * 100]


@pytest.fixture
def source(world, tmp_path: Path) -> Path:
    """Returns a tokeniser that was saved with padding and truncation on."""
    folder = tmp_path / "source"
    folder.mkdir()
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        (folder / name).write_bytes((world.teacher / name).read_bytes())
    tokeniser = Tokenizer.from_file(str(folder / "tokenizer.json"))
    tokeniser.enable_padding(length=40)
    tokeniser.enable_truncation(8)
    tokeniser.save(str(folder / "tokenizer.json"))
    return folder


def test_the_copy_gives_the_ids_that_transformers_gives(world, source: Path, tmp_path: Path):
    copy_tokenizer(source, tmp_path / "made" / "deep")
    copy = Tokenizer.from_file(str(tmp_path / "made" / "deep" / "tokenizer.json"))
    theirs = AutoTokenizer.from_pretrained(world.teacher)
    reread = AutoTokenizer.from_pretrained(tmp_path / "made" / "deep")
    for text in TEXTS:
        expected = theirs(text)["input_ids"]
        assert copy.encode(text).ids == expected
        assert reread(text)["input_ids"] == expected


def test_padding_and_truncation_are_taken_off(source: Path, tmp_path: Path):
    copy_tokenizer(source, tmp_path / "made")
    copy = Tokenizer.from_file(str(tmp_path / "made" / "tokenizer.json"))
    assert copy.padding is None
    assert copy.truncation is None
    short, long = copy.encode_batch(["film", "film " * 100])
    assert (len(short.ids), len(long.ids)) == (3, 102)


def test_a_tokeniser_alone_still_opens_in_transformers(source: Path, tmp_path: Path):
    for name in ("tokenizer_config.json", "special_tokens_map.json"):
        (source / name).unlink()
    copy_tokenizer(source, tmp_path / "made")
    assert json.loads((tmp_path / "made" / "tokenizer_config.json").read_text()) == {
        "tokenizer_class": "PreTrainedTokenizerFast"
    }
    reread = AutoTokenizer.from_pretrained(tmp_path / "made")
    assert reread("the film")["input_ids"][0] == 2


ASKED = {
    "sequence": ("text-classification", {"inputs": "film " * 100}, {"truncation": True}),
    "token": ("token-classification", {"inputs": "film " * 100}, {}),
    "span": ("question-answering", {"question": "film", "context": "the film was dull " * 50}, {}),
}


@pytest.mark.parametrize("head", ASKED)
def test_transformers_pipelines_take_a_plain_students_folder_as_it_is(world, tmp_path: Path, head: str):
    task, asked, options = ASKED[head]
    sizes = {"vocab_size": 114, "hidden_size": 32, "head_size": 16, "ffn": [32], "max_position_embeddings": 24}
    save_plain(MODELS[head](EdgeBertConfig(head=head, id2label={0: "left", 1: "right"}, **sizes)), tmp_path)
    copy_tokenizer(world.teacher, tmp_path, token_types=False, max_length=24)
    made = pipeline(task, model=str(tmp_path), **options)
    assert made.model.config.label2id == {"left": 0, "right": 1}
    assert made(**asked)


@pytest.mark.parametrize("content", ["{", "[]", "\xff"])
def test_broken_settings_are_one_line(source: Path, tmp_path: Path, content: str):
    (source / "tokenizer_config.json").write_text(content, encoding="latin-1")
    with pytest.raises(UsageError, match=r"tokenizer_config\.json: "):
        copy_tokenizer(source, tmp_path / "made")
    assert not (tmp_path / "made").exists()


def test_a_folder_without_a_tokeniser_is_one_line(tmp_path: Path):
    with pytest.raises(UsageError) as caught:
        copy_tokenizer(tmp_path, tmp_path / "made")
    assert caught.value.line().startswith(f"{tmp_path}: the folder has no tokenizer.json; save the model's fast")
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("content", [b"", b'{"version": "1.0",\n', b"[]", b"\xff\xfe", b'{"model": {"type": "What"}}'])
def test_a_broken_tokeniser_is_one_line(source: Path, tmp_path: Path, content: bytes):
    (source / "tokenizer.json").write_bytes(content)
    with pytest.raises(UsageError) as caught:
        copy_tokenizer(source, tmp_path / "made")
    assert caught.value.line().startswith(f"{source}/tokenizer.json: cannot read the tokeniser (")
    assert caught.value.line().endswith("; fetch it again")
    assert not (tmp_path / "made").exists()

"""Vocabulary trimming: the word pieces that a task's text and general text never use go, with their embeddings.

What is left splits every kept text into the same pieces, so that the model says the same of it; any other word still
splits, as every letter keeps a piece of its own.
"""

from __future__ import annotations

import copy
import json
import re
import shutil
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from tokenizers import Tokenizer

from edgedistil.errors import UsageError
from edgedistil.models.modelling import EdgeBertForSequenceClassification
from edgedistil.tokeniser import read_tokeniser

_BATCH = 1000
_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
# Places that BERT's vocabulary keeps free; their brackets are split off before any piece is looked for.
_UNUSED = re.compile(r"\[unused\d+\]")


@dataclass(frozen=True)
class Trimmed:
    """Which pieces stay.

    Attributes:
        kept: Old ids of the pieces that stay, ascending; a piece's new id is its place here.
        pieces: How many there were.
    """

    kept: tuple[int, ...]
    pieces: int

    @property
    def new_ids(self) -> dict[int, int]:
        """Returns the new id of each old one that stays."""
        return {old: new for new, old in enumerate(self.kept)}


def read_word_pieces(folder: Path) -> dict[str, Any]:
    """Returns the parsed `tokenizer.json` of a WordPiece tokeniser.

    Raises:
        UsageError: When there is none, or it is of another kind.
    """
    read_tokeniser(folder)
    path = folder / "tokenizer.json"
    fields: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    kind = fields.get("model", {}).get("type")
    if kind != "WordPiece":
        raise UsageError(
            f"the tokeniser is {kind or 'of an unnamed kind'}, only WordPiece can be trimmed",
            where=str(path),
            cure="leave prune.vocabulary out",
        )
    return fields


def _ids_of(fields: dict[str, Any]) -> dict[str, int]:
    """Returns the id of every piece of a parsed `tokenizer.json`, tokens that were added behind the others included."""
    added = {token["content"]: token["id"] for token in fields.get("added_tokens", [])}
    return {**fields["model"]["vocab"], **added}


def count_pieces(tokeniser: Tokenizer, texts: Iterable[str]) -> Counter[int]:
    """Returns how often each piece occurs in some text, special tokens left out."""
    counts: Counter[int] = Counter()
    batch: list[str] = []
    for text in texts:
        batch.append(text)
        if len(batch) == _BATCH:
            _count(tokeniser, batch, counts)
            batch = []
    _count(tokeniser, batch, counts)
    return counts


def _count(tokeniser: Tokenizer, batch: Sequence[str], counts: Counter[int]) -> None:
    for encoded in tokeniser.encode_batch(list(batch), add_special_tokens=False):
        counts.update(encoded.ids)


def choose_pieces(
    folder: Path,
    task_pieces: Iterable[int],
    general_texts: Iterable[str] = (),
    *,
    general_at_least: int = 1,
) -> Trimmed:
    """Returns the pieces that stay: those of the task's text, frequent ones of general text, letters, special tokens.

    Args:
        folder: Holds `tokenizer.json`.
        task_pieces: Ids of the pieces that the task's text uses; all of them stay.
        general_texts: Text of any kind, or words of a frequency list.
        general_at_least: How often a piece must occur in general text to stay.

    Raises:
        UsageError: When the tokeniser is not WordPiece.
    """
    fields, tokeniser = read_word_pieces(folder), read_tokeniser(folder)
    vocabulary: dict[str, int] = fields["model"]["vocab"]
    kept = {int(piece) for piece in task_pieces}
    general = count_pieces(tokeniser, general_texts)
    kept |= {piece for piece, count in general.items() if count >= general_at_least}
    kept |= {vocabulary[piece] for piece in letters_of(fields)}
    kept |= {token["id"] for token in fields.get("added_tokens", [])}
    kept |= {vocabulary[piece] for piece in (*_SPECIAL, fields["model"].get("unk_token")) if piece in vocabulary}
    return Trimmed(tuple(sorted(kept)), max(_ids_of(fields).values()) + 1)


def letters_of(fields: dict[str, Any]) -> list[str]:
    """Returns the pieces that every word can be split into at worst, of a parsed `tokenizer.json`.

    They are the single characters, alone and as a continuation, and each piece with a character that has none.
    """
    prefix = fields["model"].get("continuing_subword_prefix", "##")

    def characters(piece: str) -> list[str]:
        if piece.startswith(prefix) and len(piece) > len(prefix):
            return [prefix + character for character in piece[len(prefix) :]]
        return [piece[0], *(prefix + character for character in piece[1:])] if piece else []

    vocabulary = fields["model"]["vocab"]
    special = {*_SPECIAL, *(token["content"] for token in fields.get("added_tokens", []))}
    split = {piece: characters(piece) for piece in vocabulary if piece not in special and not _UNUSED.fullmatch(piece)}
    return [piece for piece, parts in split.items() if len(parts) == 1 or not all(part in vocabulary for part in parts)]


def trim_tokeniser(folder: Path, trimmed: Trimmed, target: Path) -> None:
    """Writes a tokeniser with only some pieces: `tokenizer.json`, `vocab.txt` in the same order, settings beside them.

    Args:
        folder: Holds the whole one.
        trimmed: What stays.
        target: Made if missing.

    Raises:
        UsageError: When a letter or special token that the whole one has would be left without a piece.
    """
    fields = read_word_pieces(folder)
    vocabulary: dict[str, int] = fields["model"]["vocab"]
    new_ids = trimmed.new_ids
    _refuse_lost(fields, vocabulary, set(new_ids), str(folder))
    fields["model"]["vocab"] = {
        piece: new_ids[old] for piece, old in sorted(vocabulary.items(), key=lambda item: item[1]) if old in new_ids
    }
    for token in fields.get("added_tokens", []):
        token["id"] = new_ids[token["id"]]
    _renumber(fields.get("post_processor"), _ids_of(fields))
    padding = fields.get("padding")
    if padding:
        padding["pad_id"] = new_ids[padding["pad_id"]]
    target.mkdir(parents=True, exist_ok=True)
    (target / "tokenizer.json").write_text(json.dumps(fields, ensure_ascii=False, indent=2), encoding="utf-8")
    (target / "vocab.txt").write_text("\n".join(fields["model"]["vocab"]) + "\n", encoding="utf-8")
    _copy_settings(folder, new_ids, target)


def _copy_settings(folder: Path, new_ids: dict[int, int], target: Path) -> None:
    """Copies what Hugging Face reads beside the tokeniser, special tokens by their new ids."""
    names = folder / "special_tokens_map.json"
    if names.is_file():
        shutil.copyfile(names, target / names.name)
    settings = folder / "tokenizer_config.json"
    if settings.is_file():
        fields = json.loads(settings.read_text(encoding="utf-8"))
        tokens = fields.get("added_tokens_decoder")
        if tokens:
            fields["added_tokens_decoder"] = {
                str(new_ids[int(old)]): token for old, token in tokens.items() if int(old) in new_ids
            }
        (target / settings.name).write_text(json.dumps(fields, ensure_ascii=False, indent=2), encoding="utf-8")


def _refuse_lost(fields: dict[str, Any], vocabulary: dict[str, int], kept: set[int], where: str) -> None:
    lost = [piece for piece in letters_of(fields) if vocabulary[piece] not in kept]
    lost += [token["content"] for token in fields.get("added_tokens", []) if token["id"] not in kept]
    if lost:
        raise UsageError(
            f"'{lost[0]}' would be left without a piece, and words that hold it could not be split",
            where=where,
            cure="keep every single letter and special token",
        )


def _renumber(post: dict[str, Any] | None, vocabulary: dict[str, int]) -> None:
    """Gives a post-processor's special tokens their new ids, in either of the forms BERT's is written in."""
    if not post:
        return
    for name in ("sep", "cls"):
        if name in post:
            post[name] = [post[name][0], vocabulary[post[name][0]]]
    for token in post.get("special_tokens", {}).values():
        token["ids"] = [vocabulary[piece] for piece in token["tokens"]]


def check_embeddings(trimmed: Trimmed, embeddings: int) -> None:
    """Refuses a model that has fewer embeddings than its tokeniser has pieces.

    Raises:
        UsageError: When it is so.
    """
    if embeddings < trimmed.pieces:
        raise UsageError(
            f"the tokeniser has {trimmed.pieces} pieces, the model {embeddings} embeddings",
            cure="trim with the model's own tokeniser",
        )


def trim_model(model: EdgeBertForSequenceClassification, trimmed: Trimmed) -> EdgeBertForSequenceClassification:
    """Returns a model with only the kept pieces' embeddings.

    Args:
        model: The model; it is left as it is.
        trimmed: What stays.

    Raises:
        UsageError: When the model has fewer embeddings than the tokeniser has pieces, or its padding would go.
    """
    config = copy.deepcopy(model.config)
    check_embeddings(trimmed, config.vocab_size)
    new_ids = trimmed.new_ids
    if config.pad_token_id not in new_ids:
        raise UsageError("the padding token would be removed", cure="keep every special token")
    separator = getattr(config, "separator_token_id", None)
    config.vocab_size, config.pad_token_id = len(trimmed.kept), new_ids[config.pad_token_id]
    if separator is not None:
        config.separator_token_id = new_ids[separator]
    weights = dict(model.state_dict())
    index = torch.tensor(trimmed.kept)
    for name, value in weights.items():
        if name == "encoder.embeddings.word.weight":
            weights[name] = value.index_select(0, index.to(value.device))
    with torch.random.fork_rng(devices=[]):
        made = type(model)(config)
    made.load_state_dict(weights)
    return made.to(next(model.parameters())).train(model.training)


def unknown_share(folder: Path, pieces: npt.NDArray[np.int32]) -> float:
    """Returns the share of a text's pieces that are [UNK], other special tokens left out; 0 without text.

    Args:
        folder: Holds `tokenizer.json`.
        pieces: Ids, [tokens]; may be a memory map.

    Raises:
        UsageError: When the tokeniser is not WordPiece.
    """
    fields = read_word_pieces(folder)
    unknown = fields["model"]["vocab"].get(fields["model"].get("unk_token"))
    special = [token["id"] for token in fields.get("added_tokens", []) if token["id"] != unknown]
    counts = np.bincount(pieces, minlength=max(_ids_of(fields).values()) + 1)
    counts[special] = 0
    return 0.0 if unknown is None else float(counts[unknown] / max(counts.sum(), 1))

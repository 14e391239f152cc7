"""A workspace that is tiny but real: a BERT of 2 layers, its tokeniser, sentences that can be learnt."""

from __future__ import annotations

import random
from pathlib import Path

import torch
import yaml
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

GOOD = ["wonderful", "warm", "funny", "brilliant", "moving", "fine", "charming", "great"]
BAD = ["dull", "awful", "boring", "clumsy", "weak", "tedious", "poor", "lifeless"]
THINGS = ["film", "story", "plot", "acting", "ending", "script", "scene", "score"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
FILLER = ["the", "this", "a", "with", "and", "is", "was", "very", "quite", "its", "has", "of", "rather", "often"]


def sentences(count: int, seed: int) -> list[tuple[str, str]]:
    """Returns (label, text) rows, half of them of either label."""
    chooser = random.Random(seed)
    rows = []
    for number in range(count):
        words = BAD if number % 2 else GOOD
        text = [chooser.choice(FILLER), chooser.choice(THINGS), chooser.choice(FILLER), chooser.choice(words)]
        text += [chooser.choice(FILLER + THINGS) for _ in range(chooser.randint(0, 8))]
        text += [chooser.choice(words)] if chooser.random() < 0.5 else []
        rows.append(("negative" if number % 2 else "positive", f"{' '.join(text)} {number}"))
    return rows


def write_tsv(path: Path, rows: list[tuple[str, str]], header: str = "label\ttext") -> Path:
    """Writes rows under a header line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([header, *("\t".join(row) for row in rows)]) + "\n", encoding="utf-8")
    return path


def write_teacher(folder: Path, *, layers: int = 2, hidden: int = 64, heads: int = 4) -> Path:
    """Writes a BERT encoder with random weights and a WordPiece tokeniser that knows the words above."""
    characters = "abcdefghijklmnopqrstuvwxyz0123456789"
    pieces = [
        *SPECIAL,
        *characters,
        *(f"##{one}" for one in characters),
        *sorted({*GOOD, *BAD, *THINGS, *FILLER} - {"a"}),
    ]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    tokeniser = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    tokeniser.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokeniser.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokeniser.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokeniser,
        unk_token="[UNK]",
        pad_token="[PAD]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=tokeniser.get_vocab_size(),
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=2 * hidden,
        max_position_embeddings=64,
    )
    BertModel(config, add_pooling_layer=False).save_pretrained(folder)
    return folder


def tiny_recipe() -> dict:
    """Returns the recipe of the tiny workspace as plain values."""
    losses = {"soft_targets": 1.0, "hard_labels": 0.5, "hidden_states": 1.0}
    return {
        "name": "tiny",
        "data": {"source": "files", "train": "data/train.tsv", "dev": "data/dev.tsv", "test": "data/test.tsv"},
        "max_length": 32,
        "teacher": {"model": "teacher", "fine_tune": {"epochs": 3, "learning_rate": 1e-3}},
        "student": {"layers": 1},
        "distil": {"epochs": 2, "learning_rate": 1e-3, "losses": losses},
        "prune": {
            "parameters": 0.6,
            "block": 16,
            "calibration_examples": 64,
            "recover": {"epochs": 1, "learning_rate": 5e-4, "losses": losses},
        },
        "export": {"sequence_lengths": [16, 32]},
        "bench": {"sequence_length": 16, "threads": 1, "seconds_per_file": 0.3},
    }


def write_workspace(root: Path) -> Path:
    """Writes the tiny workspace; returns its recipe's path."""
    write_teacher(root / "teacher")
    write_tsv(root / "data" / "train.tsv", sentences(600, 1))
    write_tsv(root / "data" / "dev.tsv", sentences(240, 2))
    write_tsv(root / "data" / "test.tsv", sentences(200, 3))
    recipe = root / "export" / "tiny.yaml"
    recipe.parent.mkdir(parents=True)
    recipe.write_text(yaml.safe_dump(tiny_recipe()), encoding="utf-8")
    return recipe

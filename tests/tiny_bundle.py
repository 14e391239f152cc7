"""A whole bundle in a few kilobytes: a real ONNX classifier and a real WordPiece tokeniser, made by hand.

The model adds up one number a word, so that what it must answer can be told without it: each "good" raises the second
logit, each "bad" the first, and padding counts for nothing. `tiny.tflite` is the same model, made once by litert-torch
with signatures of 8 and 16 tokens, for its converter is slow and brings torch.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordPiece
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer
from tokenizers.processors import TemplateProcessing

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bundle import (
    Accuracy,
    Bundle,
    BundleDetails,
    DatasetRecord,
    FileFacts,
    ModelShape,
    Parity,
    StageRecord,
    write_bundle,
)
from edgedistil.hashing import example_id

WORDS = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "a", "the", "film", "good", "bad", "very"]
LABELS = ["negative", "positive"]
MAX_LENGTH = 16
TEXTS = [("good film", 1), ("bad film", 0), ("a very good film", 1), ("the film", 0), ("bad bad good", 1)]


def make_tokeniser(path: Path) -> None:
    """Writes a `tokenizer.json` that knows `WORDS`."""
    tokeniser = Tokenizer(WordPiece({word: number for number, word in enumerate(WORDS)}, unk_token="[UNK]"))
    tokeniser.normalizer = BertNormalizer(lowercase=True)
    tokeniser.pre_tokenizer = BertPreTokenizer()
    tokeniser.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokeniser.save(str(path))


def make_model(path: Path, gain: float = 1.0) -> None:
    """Writes an ONNX file: logits are the sum over real tokens of one row each; `gain` is what "good" adds."""
    table = np.zeros((len(WORDS), 2), dtype=np.float32)
    table[WORDS.index("good"), 1] = gain
    table[WORDS.index("bad"), 0] = 1.0
    table[WORDS.index("[CLS]"), 0] = 0.25
    axes = numpy_helper.from_array(np.array([1], dtype=np.int64), "axes")
    last = numpy_helper.from_array(np.array([2], dtype=np.int64), "last")
    nodes = [
        helper.make_node("Gather", ["table", "input_ids"], ["rows"], axis=0),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last"], ["column"]),
        helper.make_node("Mul", ["rows", "column"], ["kept"]),
        helper.make_node("ReduceSum", ["kept", "axes"], ["logits"], keepdims=0),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "sequence"])
        for name in ("input_ids", "attention_mask")
    ]
    outputs = [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", 2])]
    graph = helper.make_graph(nodes, "tiny", inputs, outputs, [numpy_helper.from_array(table, "table"), axes, last])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    onnx.save(model, str(path))


def make_evaluation(path: Path, tokeniser: Path) -> None:
    """Writes `TEXTS` as an evaluation set."""
    encoded = [Tokenizer.from_file(str(tokeniser)).encode(text).ids for text, _ in TEXTS]
    offsets = np.cumsum([0, *map(len, encoded)])
    EvaluationSet(
        np.concatenate(encoded), offsets, [label for _, label in TEXTS], [example_id(text) for text, _ in TEXTS]
    ).save(path)


def make_details(**changes: Any) -> BundleDetails:
    """Returns a manifest's worth of plausible details."""
    values: dict[str, Any] = {
        "name": "tiny",
        "task": "text-classification",
        "labels": LABELS,
        "max_length": MAX_LENGTH,
        "sequence_lengths": [8, 16],
        "recipe": {"name": "tiny", "seed": 1},
        "lineage": [
            StageRecord(name="teacher", key="a" * 64, version=1, seconds=12.5, summary={"dev_accuracy": 0.881}),
            StageRecord(name="distil", key="b" * 64, version=1, seconds=40.0, summary={"layers": 2}),
        ],
        "packages": {"numpy": np.__version__},
        "seed": 1,
        "dataset": DatasetRecord(source="made up", fingerprint="c" * 64, counts={"train": 8, "dev": 5}, licence="MIT"),
        "model": ModelShape(layers=2, hidden_size=2, heads=[2, 0], ffn=[32, 64], vocabulary=10, parameters=20),
        "base_model": "somebody/tiny-bert",
        "licence": "Apache-2.0",
        "facts": {
            "onnx/model.onnx": FileFacts(
                "onnx-fp32",
                Parity(max_abs=2e-7, tolerance=1e-4, examples=5, agreement=1.0),
                Accuracy(value=0.8, low=0.376, high=0.964, examples=5),
            ),
            "onnx/model_quantized.onnx": FileFacts("onnx-int8"),
        },
    }
    return BundleDetails(**(values | changes))


def make_sources(folder: Path) -> dict[str, Path]:
    """Writes the files of a bundle; returns them by their path in it."""
    folder.mkdir(parents=True, exist_ok=True)
    make_tokeniser(folder / "tokenizer.json")
    make_model(folder / "model.onnx")
    make_model(folder / "model_quantized.onnx", gain=1.5)
    make_evaluation(folder / "dev.npz", folder / "tokenizer.json")
    return {
        "tokenizer.json": folder / "tokenizer.json",
        "onnx/model.onnx": folder / "model.onnx",
        "onnx/model_quantized.onnx": folder / "model_quantized.onnx",
        "evaluation/dev.npz": folder / "dev.npz",
    }


def make_litert_bundle(folder: Path) -> Bundle:
    """Writes a bundle at `folder/bundle` that holds the TFLite file and no ONNX."""
    sources = make_sources(folder / "sources")
    kept = {name: source for name, source in sources.items() if not name.startswith("onnx/")}
    kept["model_fp32.tflite"] = Path(__file__).with_name("tiny.tflite")
    facts = {"model_fp32.tflite": FileFacts("tflite-fp32")}
    return write_bundle(folder / "bundle", kept, make_details(facts=facts))


def make_bundle(folder: Path, **changes: Any) -> Bundle:
    """Writes a bundle at `folder/bundle`."""
    return write_bundle(folder / "bundle", make_sources(folder / "sources"), make_details(**changes))

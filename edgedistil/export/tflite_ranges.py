"""Calibration of TFLite files: the ranges of what goes into and comes out of every product, on real text.

A row runs in the smallest signature it fits, as it will on the device. A product has one range for all signatures, or
its bias, whose scale follows from its input's, would be stored once a signature. Padding does not count. On SST-2's
6 x 384 student (128 rows of the training split) neither the mean of the rows' ranges nor percentiles (99.9 to 99.99)
came nearer to fp32 than the plain smallest and largest value: 0.04 a logit on average, 0.04 to 0.22.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bundle.records import Record, check, read_json
from edgedistil.errors import EdgeDistilError, UsageError, require
from edgedistil.export.tflite_layers import Product, products_of
from edgedistil.hashing import hash_file, hash_value
from edgedistil.quiet import silence

CALIBRATION_ROWS = 128


class Ranges(Record):
    """What was measured, to be used again for every scheme of the same file."""

    schema_version: int = 1
    source: str
    """Sha256 of the fp32 file."""
    text: str
    """Sha256 of the token ids that were run."""
    ranges: dict[str, tuple[float, float]]
    """Smallest and largest value, by product and side: `layer.0.ffn/up/0/input`."""


def ranges_of(source: Path, rows: EvaluationSet, saved: Path | None = None) -> Ranges:
    """Returns a file's ranges: those saved, where they are of this file and text, else measured now and saved.

    Args:
        source: The fp32 file.
        rows: Text of the task from the training split; at most `CALIBRATION_ROWS` rows are run, chosen by a fixed seed.
        saved: Where they are kept, JSON; None keeps them nowhere.

    Raises:
        UsageError: When the text is of another vocabulary, or what is saved cannot be read.
        EdgeDistilError: When the file cannot be run.
    """
    picked = _pick(rows)
    file, text = hash_file(source), hash_value([rows.tokens(row).tolist() for row in picked])
    if saved is not None and saved.is_file():
        found = check(read_json(saved, what="calibration"), Ranges, where=str(saved), version=1)
        if (found.source, found.text) == (file, text):
            return found
    measured = Ranges(source=file, text=text, ranges=_measure(source, rows, picked))
    if saved is not None:
        saved.write_text(measured.model_dump_json(indent=1), encoding="utf-8")
    return measured


def _pick(rows: EvaluationSet) -> list[int]:
    order = np.random.default_rng(0).permutation(len(rows))[:CALIBRATION_ROWS]
    return sorted(int(row) for row in order)


def _measure(source: Path, rows: EvaluationSet, picked: list[int]) -> dict[str, tuple[float, float]]:
    require("ai_edge_quantizer", "host")
    found: dict[str, tuple[float, float]] = {}
    with silence():
        watched = Watched(source)
        watched.check_vocabulary(int(rows.input_ids.max()))
        for row in picked:
            try:
                values = watched.run(rows, row)
            except RuntimeError as error:
                raise EdgeDistilError(f"cannot be run for calibration ({error})", where=str(source)) from error
            for name, (low, high) in values:
                before = found.get(name, (low, high))
                found[name] = min(before[0], low), max(before[1], high)
    return found


class Watched:
    """An fp32 file whose products' inputs and outputs can be seen.

    Args:
        source: The file.
    """

    def __init__(self, source: Path) -> None:
        from ai_edge_litert.interpreter import Interpreter
        from ai_edge_quantizer.utils import tfl_flatbuffer_utils

        self._source = source
        self._model = tfl_flatbuffer_utils.read_model(str(source))
        self._products = products_of(source)
        self._interpreter = Interpreter(model_path=str(source), num_threads=1, experimental_preserve_all_tensors=True)
        names = [(entry.signatureKey.decode(), entry.subgraphIndex) for entry in self._model.signatureDefs]
        self._signatures = {int(name.rpartition("_")[2]): (name, graph) for name, graph in names}

    def check_vocabulary(self, largest: int) -> None:
        """Refuses text whose largest token id the embedding has no row for, raising `UsageError`."""
        for product in self._products:
            if product.role == "embeddings":
                graph, operation = self._at(product)
                size = int(graph.tensors[operation.inputs[1]].shape[0])
                if largest >= size:
                    raise UsageError(
                        f"the calibration text has a token {largest}, the model {size} tokens",
                        where=str(self._source),
                        cure="prepare it with the model's own tokeniser",
                    )

    def _at(self, product: Product) -> tuple[Any, Any]:
        graph = self._model.subgraphs[product.place[0]]
        return graph, graph.operators[product.place[1]]

    def named(self) -> Iterator[tuple[str, int, int]]:
        """Yields every float input and output of a matrix product: its name, its graph and its tensor there."""
        seen: Counter[tuple[int, str, str]] = Counter()
        for product in self._products:
            if product.role == "embeddings":
                continue
            _, operation = self._at(product)
            nth = (product.place[0], product.layer, product.role)
            name = f"{product.layer}/{product.role}/{seen[nth]}"
            seen[nth] += 1
            yield f"{name}/input", product.place[0], int(operation.inputs[0])
            yield f"{name}/output", product.place[0], int(operation.outputs[0])

    def run(self, rows: EvaluationSet, row: int) -> Iterator[tuple[str, tuple[float, float]]]:
        """Runs one row and yields the range of everything that `named` names in its signature."""
        tokens = int(rows.lengths[row])
        length = min((size for size in self._signatures if size >= tokens), default=max(self._signatures))
        signature, wanted = self._signatures[length]
        ids, mask = rows.batch([row], length)
        runner = self._interpreter.get_signature_runner(signature)
        runner(input_ids=ids.astype(np.int32), attention_mask=mask.astype(np.int32))
        for name, graph, tensor in self.named():
            if graph == wanted:
                values = self._interpreter.get_tensor(tensor, graph)
                values = values.reshape(-1, values.shape[-1])
                values = values[:tokens] if len(values) == length else values
                yield name, (float(values.min()), float(values.max()))

    def by_tensor(
        self, ranges: Mapping[str, tuple[float, float]], known: Mapping[str, tuple[float, float]]
    ) -> dict[str, dict[str, Any]]:
        """Returns ranges as ai-edge-quantizer's calibration gives them: by tensor, of every signature.

        Args:
            ranges: By product and side.
            known: By tensor; they come first.
        """
        found = {}
        for name, graph, tensor in self.named():
            label = self._model.subgraphs[graph].tensors[tensor].name.decode()
            low, high = known.get(label, ranges[name])
            found[label] = {"min": np.array([low]), "max": np.array([high])}
        return found

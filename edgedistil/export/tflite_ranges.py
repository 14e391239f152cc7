"""Calibration of TFLite files: the ranges of what goes into and comes out of every product, on real text.

A row runs in the smallest signature it fits, as it will on the device. A product has one range for all signatures, or
its bias, whose scale follows from its input's, would be stored once a signature. Padding does not count.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.errors import EdgeDistilError, UsageError, require
from edgedistil.export.calibration import Calibration, calibration_key, kept_or_found
from edgedistil.export.range_methods import DEFAULT, find_ranges
from edgedistil.export.tflite_layers import Product, products_of
from edgedistil.quantise.ranges import Range
from edgedistil.quiet import silence


def ranges_of(source: Path, rows: EvaluationSet, method: str = DEFAULT, saved: Path | None = None) -> Calibration:
    """Returns a file's ranges, by product and side (`layer.0.ffn/up/0/input`).

    Those saved, where they are of this file, text and method, else found now and saved.

    Args:
        source: The fp32 file.
        rows: Text of the task from the training split.
        method: How they are chosen: a key of `range_methods.METHODS`.
        saved: Where they are kept, JSON; None keeps them nowhere.

    Raises:
        UsageError: When the method is unknown, the text is of another vocabulary, or what is saved cannot be read.
        EdgeDistilError: When the file cannot be run.
    """
    key = calibration_key(source, rows, method)
    return kept_or_found(saved, key, lambda: Calibration(key, method, len(rows), _measure(source, rows, method)))


def _measure(source: Path, rows: EvaluationSet, method: str) -> dict[str, Range]:
    require("ai_edge_quantizer", "host")
    with silence():
        watched = Watched(source)
        watched.check_vocabulary(int(rows.input_ids.max()))

        def run() -> Iterator[dict[str, np.ndarray]]:
            for row in range(len(rows)):
                try:
                    yield dict(watched.run(rows, row))
                except RuntimeError as error:
                    raise EdgeDistilError(f"cannot be run for calibration ({error})", where=str(source)) from error

        return find_ranges(method, run)


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

    def run(self, rows: EvaluationSet, row: int) -> Iterator[tuple[str, np.ndarray]]:
        """Runs one row and yields the values of everything that `named` names in its signature, [tokens, width]."""
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
                yield name, values[:tokens] if len(values) == length else values

    def by_tensor(self, ranges: Mapping[str, Range], known: Mapping[str, Range]) -> dict[str, dict[str, Any]]:
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

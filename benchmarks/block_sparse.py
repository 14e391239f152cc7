"""LiteRT's own block-sparse matrices tried: `python benchmarks/block_sparse.py MODEL` writes results/pattern/.

The TFLite schema can store the weight of a FULLY_CONNECTED as blocks of 1 x 4 (float) or 1 x 16 (int8) with the places
of those that are not 0. Here the encoder's Linears lose their blocks of smallest norm, the model is exported as ever,
and the file is rewritten with that encoding. Each file then answers the same input, under XNNPACK, which LiteRT uses by
default, and under LiteRT's own kernels, and is timed, all in turns. MODEL is a model's folder.
"""

from __future__ import annotations

import argparse
import datetime as dt
import importlib.metadata
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from edgedistil.bench.facts import local_facts
from edgedistil.export.quantise_tflite import quantise_tflite
from edgedistil.export.tflite import export_tflite, signature_name
from edgedistil.models import EdgeBertForSequenceClassification, load_model
from edgedistil.prune.pattern import compressed_bytes, linears_of
from edgedistil.quiet import silence

RESULTS = Path(__file__).resolve().parent / "results" / "pattern"
LENGTH = 64
_SAME = 1e-3


@dataclass(frozen=True)
class Encoding:
    """A width of blocks that LiteRT has a kernel for.

    Attributes:
        name: Of the precision.
        block: Columns of a block, of one row each.
        dtype: Of a weight.
    """

    name: str
    block: int
    dtype: type[np.generic]


ENCODINGS = (Encoding("fp32", 4, np.float32), Encoding("int8", 16, np.int8))


def without_blocks(folder: Path, block: int, sparsity: float) -> EdgeBertForSequenceClassification:
    """Returns a model whose encoder's Linears have lost the blocks [1, block] of smallest norm, a share of each."""
    model = load_model(folder)
    with torch.no_grad():
        for _, linear in linears_of(model):
            blocks = linear.weight.unflatten(1, (-1, block))
            norms = blocks.square().sum(2)
            keep = norms > norms.flatten().kthvalue(max(1, round(sparsity * norms.numel()))).values
            linear.weight.copy_((blocks * keep[:, :, None]).flatten(1))
    return model


def read_model(path: Path) -> Any:
    """Returns a TFLite file as the schema's objects, buffers that stand behind the flatbuffer taken in."""
    from ai_edge_litert import schema_py_generated as schema

    raw = path.read_bytes()
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(bytearray(raw), 0))
    for buffer in model.buffers:
        if buffer.offset > 1:
            buffer.data = np.frombuffer(raw[buffer.offset : buffer.offset + buffer.size], np.uint8)
            buffer.offset = buffer.size = 0
    return model


def encoded(weight: np.ndarray, block: int) -> tuple[Any, np.ndarray]:
    """Returns the schema's sparsity of a weight [rows, columns], and the values of its blocks that are not 0."""
    from ai_edge_litert import schema_py_generated as schema

    def numbers(values: np.ndarray) -> Any:
        vector = schema.Int32VectorT()
        vector.values = values.astype(np.int32)
        return vector

    blocks = weight.reshape(len(weight), -1, block)
    keep = blocks.any(2)
    rows, columns, inner = (schema.DimensionMetadataT() for _ in range(3))
    rows.denseSize, inner.denseSize = len(weight), block
    columns.format = schema.DimensionType.SPARSE_CSR
    columns.arraySegmentsType = columns.arrayIndicesType = schema.SparseIndexVector.Int32Vector
    columns.arraySegments = numbers(np.concatenate([[0], np.cumsum(keep.sum(1))]))
    columns.arrayIndices = numbers(np.nonzero(keep)[1])
    sparsity = schema.SparsityParametersT()
    sparsity.traversalOrder, sparsity.blockMap = np.array([0, 1, 2], np.int32), np.array([1], np.int32)
    sparsity.dimMetadata = [rows, columns, inner]
    return sparsity, blocks[keep].reshape(-1)


def rewrite(source: Path, target: Path, encoding: Encoding) -> int:
    """Writes a file with the encoding in every FULLY_CONNECTED that has blocks of 0; returns how many have."""
    import flatbuffers
    from ai_edge_litert import schema_py_generated as schema

    model, done = read_model(source), 0
    for graph in model.subgraphs:
        for operator in graph.operators:
            code = model.operatorCodes[operator.opcodeIndex]
            if max(code.builtinCode, code.deprecatedBuiltinCode) != schema.BuiltinOperator.FULLY_CONNECTED:
                continue
            tensor = graph.tensors[operator.inputs[1]]
            buffer = model.buffers[tensor.buffer]
            size = np.dtype(encoding.dtype).itemsize * int(np.prod(tensor.shape))
            if buffer.data is None or len(buffer.data) != size or tensor.shape[1] % encoding.block:
                continue
            weight = np.frombuffer(bytes(buffer.data), encoding.dtype).reshape(tensor.shape)
            sparsity, values = encoded(weight, encoding.block)
            if values.size < weight.size:
                tensor.sparsity, buffer.data = sparsity, np.frombuffer(values.tobytes(), np.uint8)
                done += 1
    builder = flatbuffers.Builder(1 << 20)
    builder.Finish(model.Pack(builder), b"TFL3")
    target.write_bytes(bytes(builder.Output()))
    return done


def open_file(path: Path, kernels: str) -> Any:
    """Returns a call that answers the same token ids each time, on one thread."""
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    kinds = {"XNNPACK": OpResolverType.AUTO, "LiteRT's own": OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES}
    interpreter = Interpreter(str(path), num_threads=1, experimental_op_resolver_type=kinds[kernels])
    runner = interpreter.get_signature_runner(signature_name(LENGTH))
    ids = np.random.default_rng(0).integers(1000, 9000, (1, LENGTH)).astype(np.int32)
    return lambda: runner(input_ids=ids, attention_mask=np.ones_like(ids))["logits"].tolist()[0]


def answer_of(path: Path, kernels: str) -> list[float] | str:
    """Returns a file's logits from a process of its own, which a kernel that reads beyond its weight may end."""
    asked = [sys.executable, __file__, "--answer", str(path), "--kernels", kernels]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode < 0:
        return f"ended by signal {-done.returncode}"
    if done.returncode:
        return (done.stderr.strip().splitlines() or [f"ended with {done.returncode}"])[-1][:200]
    logits: list[float] = json.loads(done.stdout.strip().splitlines()[-1])
    return logits


def timed(files: dict[str, tuple[Path, str]], rounds: int) -> dict[str, float]:
    """Returns the median milliseconds of each file, in turns: one warm and one timed inference a round."""
    calls = {name: open_file(*file) for name, file in files.items()}
    times: dict[str, list[float]] = {name: [] for name in files}
    for _ in range(rounds):
        for name, call in calls.items():
            call()
            started = time.perf_counter()
            call()
            times[name].append(1000 * (time.perf_counter() - started))
    return {name: round(statistics.median(found), 3) for name, found in times.items()}


def tried(folder: Path, encoding: Encoding, sparsity: float, rounds: int, scratch: Path) -> dict[str, Any]:
    """Returns what one encoding does at one sparsity: sizes, answers and times."""
    paths = {name: scratch / f"{name}.tflite" for name in ("zeros", "block-sparse")}
    plain = scratch / "plain.tflite"
    export_tflite(without_blocks(folder, encoding.block, sparsity), plain, [LENGTH])
    if encoding.name == "int8":
        quantise_tflite(plain, paths["zeros"])
    else:
        plain.replace(paths["zeros"])
    matrices = rewrite(paths["zeros"], paths["block-sparse"], encoding)
    files = {f"{name}, {kernels}": (path, kernels) for name, path in paths.items() for kernels in KERNELS}
    answers = {name: answer_of(*file) for name, file in files.items()}
    right = {name: _right(answers[name], answers[f"zeros, {files[name][1]}"]) for name in files}
    milliseconds = timed({name: file for name, file in files.items() if right[name]}, rounds)
    return {
        "precision": encoding.name,
        "block": [1, encoding.block],
        "sparsity": sparsity,
        "matrices": matrices,
        "bytes": {name: path.stat().st_size for name, path in paths.items()},
        "compressed_bytes": {name: compressed_bytes(path) for name, path in paths.items()},
        "logits": answers,
        "right": right,
        "milliseconds": milliseconds,
        "gain": milliseconds["zeros, XNNPACK"]
        / min(milliseconds.get(name, np.inf) for name in files if "block" in name),
    }


def _right(found: list[float] | str, wanted: list[float] | str) -> bool:
    return not isinstance(found, str) and bool(np.allclose(found, wanted, atol=_SAME))


KERNELS = ("XNNPACK", "LiteRT's own")


def main() -> None:
    """Measures what the command line asks for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("model", type=Path, nargs="?")
    parser.add_argument("--sparsities", nargs="+", type=float, default=[0.5, 0.9])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--answer", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--kernels", help=argparse.SUPPRESS)
    ask = parser.parse_args()
    if ask.answer:
        print(json.dumps(open_file(ask.answer, ask.kernels)()))
        return
    rows = []
    for encoding in ENCODINGS:
        for sparsity in ask.sparsities:
            with tempfile.TemporaryDirectory() as scratch, silence():
                rows.append(tried(ask.model, encoding, sparsity, ask.rounds, Path(scratch)))
            print(json.dumps(rows[-1]["right"]), rows[-1]["milliseconds"], f"gain {rows[-1]['gain']:.2f}", flush=True)
    packages = ("ai-edge-litert", "ai-edge-quantizer", "litert-torch")
    result = {
        "command": "python benchmarks/block_sparse.py MODEL",
        "date": dt.datetime.now(dt.timezone.utc).date().isoformat(),
        "machine": local_facts().model_dump(),
        "versions": {name: importlib.metadata.version(name) for name in packages},
        "best_gain": max(row["gain"] for row in rows),
        "rows": rows,
    }
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / "block_sparse.json").write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()

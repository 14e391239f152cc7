"""Calibration: how far a model's activations reach on real text of its task, found once and kept.

`minmax` takes the least and greatest value seen. `percentile` leaves out the outermost 0.01 % of the values, half of
them at either end. `entropy` clips at the magnitude whose 8-bit picture of the values loses the least information
(Migacz, "8-bit Inference with TensorRT", GTC 2017): least Kullback-Leibler divergence over a histogram of magnitudes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.errors import EdgeDistilError, UsageError, did_you_mean
from edgedistil.export.qdq import Range
from edgedistil.hashing import hash_file, hash_value

BINS = 2048
PERCENTILE = 99.99
_LEVELS = 128
_CANDIDATES = 120
_SPECIAL_TOKENS = 2

Found = dict[str, Range]
_Run = Callable[[], Iterator[dict[str, np.ndarray]]]


@dataclass(frozen=True)
class Calibration:
    """Ranges of a file's activations.

    Attributes:
        key: Hash of the file, the rows, the tensors and the method: what the ranges are good for.
        method: One of `METHODS`.
        examples: Rows they were found on.
        ranges: Least and greatest value to express, by the tensor's name in the file.
    """

    key: str
    method: str
    examples: int
    ranges: Found

    def save(self, path: Path) -> None:
        """Writes it as JSON."""
        facts = {"key": self.key, "method": self.method, "examples": self.examples, "ranges": self.ranges}
        path.write_text(json.dumps(facts, indent=1), encoding="utf-8")

    @classmethod
    def load(cls, path: Path) -> Calibration:
        """Reads what `save` wrote.

        Raises:
            UsageError: When the file is missing or holds no calibration.
        """
        try:
            facts = json.loads(path.read_text(encoding="utf-8"))
            ranges = {name: (float(low), float(high)) for name, (low, high) in facts["ranges"].items()}
            return cls(str(facts["key"]), str(facts["method"]), int(facts["examples"]), ranges)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"holds no calibration ({error})", where=str(path), cure="calibrate again") from error


def choose_rows(train: EvaluationSet, count: int, seed: int) -> EvaluationSet:
    """Returns rows drawn without replacement; the same set, count and seed give the same rows in the same order.

    Args:
        train: Where they come from.
        count: How many; all of a smaller set.
        seed: Of the draw.
    """
    chosen = np.random.default_rng(seed).choice(len(train), min(count, len(train)), replace=False)
    places = [train.slice(int(row)) for row in chosen]

    def cut(values: np.ndarray) -> np.ndarray:
        return np.concatenate([values[place] for place in places])

    return EvaluationSet(
        cut(train.input_ids),
        np.concatenate([[0], np.cumsum(train.lengths[chosen])]),
        cut(train.labels) if train.kind == "tags" else train.labels[chosen],
        train.ids[chosen],
        train.kind,
        None if train.starts is None else cut(train.starts),
        None if train.ends is None else cut(train.ends),
    )


def check_rows(rows: EvaluationSet | None, evaluation: EvaluationSet | None = None) -> EvaluationSet:
    """Refuses rows that tell nothing of the model's task.

    Args:
        rows: What is to be calibrated on.
        evaluation: Rows of the model's own task; None leaves that out.

    Raises:
        UsageError: When there are none, no row has a word in it, or they are of another kind of task.
    """
    if rows is None:
        raise UsageError("calibration has no text", where="quantise", cure="give rows of the task's training split")
    if int(rows.lengths.max()) <= _SPECIAL_TOKENS:
        raise UsageError(
            "every calibration text is empty", where="quantise", cure="give rows of the task's training split"
        )
    if evaluation is not None and rows.kind != evaluation.kind:
        raise UsageError(
            f"the calibration rows are of the kind '{rows.kind}', the model's task is of the kind '{evaluation.kind}'",
            where="quantise",
            cure="give rows of the task's own training split",
        )
    return rows


def calibrate(
    source: Path,
    tensors: Sequence[str],
    rows: EvaluationSet,
    method: str = "minmax",
    saved: Path | None = None,
) -> Calibration:
    """Finds the ranges of a file's tensors, each row run alone at its own length.

    Args:
        source: The fp32 ONNX file.
        tensors: Names of the tensors to look at.
        rows: Real text.
        method: One of `METHODS`.
        saved: Where the calibration is kept: read when it is of the same file, rows and method, else written.

    Raises:
        UsageError: When the method is unknown, or the rows hold no text or tokens that the model does not know.
        EdgeDistilError: When the file cannot be run.
    """
    if method not in METHODS:
        raise UsageError(f"unknown calibration '{method}'", where="quantise", cure=did_you_mean(method, METHODS))
    check_rows(rows)
    key = _key(source, tensors, rows, method)
    if saved is not None and saved.is_file() and (kept := Calibration.load(saved)).key == key:
        return kept
    run = _runner(source, sorted(set(tensors)), rows)
    found = Calibration(key, method, len(rows), METHODS[method](run))
    if saved is not None:
        found.save(saved)
    return found


def _key(source: Path, tensors: Sequence[str], rows: EvaluationSet, method: str) -> str:
    facts = {"method": method, "tensors": sorted(set(tensors)), "file": hash_file(source)}
    return hash_value({**facts, "ids": rows.input_ids.tolist(), "offsets": rows.offsets.tolist()})


def _runner(source: Path, tensors: list[str], rows: EvaluationSet) -> _Run:
    """Returns what runs every row once and gives the tensors' values, a row at a time."""
    model = onnx.load(str(source))
    own = {entry.name for entry in model.graph.output}
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in tensors if name not in own)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    # Fused nodes would swallow the tensors that are asked for.
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise EdgeDistilError(f"cannot be calibrated ({error})", where=str(source)) from error

    def run() -> Iterator[dict[str, np.ndarray]]:
        for row in range(len(rows)):
            input_ids, mask = rows.batch([row], int(rows.lengths[row]))
            try:
                values = session.run(tensors, {"input_ids": input_ids, "attention_mask": mask})
            except Exception as error:
                raise UsageError(
                    f"calibration row {row + 1} cannot be run ({error})",
                    where="quantise",
                    cure="calibrate on text encoded by the model's own tokeniser",
                ) from error
            yield dict(zip(tensors, values, strict=True))

    return run


def _minmax(run: _Run) -> Found:
    found: Found = {}
    for seen in run():
        for name, values in seen.items():
            low, high = found.get(name, (0.0, 0.0))
            found[name] = min(low, float(values.min())), max(high, float(values.max()))
    return found


def _percentile(run: _Run) -> Found:
    extremes = _minmax(run)
    counts = _histograms(run, {name: (low, high) for name, (low, high) in extremes.items()})
    return {name: percentile_range(counts[name], extremes[name]) for name in counts}


def percentile_range(counts: np.ndarray, extremes: Range) -> Range:
    """Returns what holds all but the outermost values, the edges of bins.

    Args:
        counts: Values in each of equal bins, [bins].
        extremes: Where the first bin begins and the last ends.
    """
    edges = np.linspace(*extremes, len(counts) + 1)
    share = np.cumsum(counts) / counts.sum()
    tail = (100 - PERCENTILE) / 200
    low, high = int(np.searchsorted(share, tail)), int(np.searchsorted(share, 1 - tail))
    return min(0.0, float(edges[low])), max(0.0, float(edges[min(high, len(counts) - 1) + 1]))


def _entropy(run: _Run) -> Found:
    extremes = _minmax(run)
    counts = _histograms(run, {name: (0.0, max(-low, high)) for name, (low, high) in extremes.items()}, magnitudes=True)
    limits = {name: entropy_limit(counts[name], max(-low, high)) for name, (low, high) in extremes.items()}
    return {name: (max(low, -limits[name]), min(high, limits[name])) for name, (low, high) in extremes.items()}


def entropy_limit(counts: np.ndarray, greatest: float) -> float:
    """Returns the magnitude at which clipping loses the least information.

    Args:
        counts: Magnitudes in each of equal bins from 0 to the greatest, [bins].
        greatest: The greatest magnitude.
    """
    sizes = np.unique(np.linspace(_LEVELS, len(counts), _CANDIDATES).astype(int))
    losses = [_divergence(counts.astype(np.float64), int(size)) for size in sizes]
    return greatest * float(sizes[int(np.argmin(losses))]) / len(counts)


def _divergence(counts: np.ndarray, size: int) -> float:
    """Returns KL(values clipped to the first bins, the same written in `_LEVELS` levels), in nats."""
    clipped = counts[:size].copy()
    clipped[-1] += counts[size:].sum()
    level = np.arange(size) * _LEVELS // size
    held = counts[:size] > 0
    sums = np.bincount(level, counts[:size], _LEVELS)
    bins = np.bincount(level, held, _LEVELS)
    spread = np.where(held, sums[level] / np.maximum(bins[level], 1), 0.0)
    wanted, got = clipped / clipped.sum(), spread / max(spread.sum(), 1.0)
    # A clipped value that falls where none was counted is not expressed at all.
    return float(np.sum(wanted * np.log(np.maximum(wanted, 1e-12) / np.maximum(got, 1e-12))))


def _histograms(run: _Run, spans: Found, *, magnitudes: bool = False) -> dict[str, np.ndarray]:
    """Returns how many values fall into each of equal bins."""
    counts = {name: np.zeros(BINS, dtype=np.int64) for name in spans}
    for seen in run():
        for name, values in seen.items():
            low, high = spans[name]
            bins = ((np.abs(values) if magnitudes else values).ravel() - low) * (BINS / max(high - low, 1e-30))
            counts[name] += np.bincount(np.clip(bins, 0, BINS - 1).astype(np.int32), minlength=BINS)
    return counts


METHODS: dict[str, Callable[[_Run], Found]] = {"minmax": _minmax, "percentile": _percentile, "entropy": _entropy}
"""The ways to choose a range, by name."""

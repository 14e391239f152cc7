"""Calibration: how far a file's activations reach on real text of its task, found once and kept; an ONNX file's."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.export.range_methods import DEFAULT, Found, Run, find_ranges
from edgedistil.hashing import hash_file, hash_value

_SPECIAL_TOKENS = 2


@dataclass(frozen=True)
class Calibration:
    """Ranges of a file's activations.

    Attributes:
        key: Hash of the file, the rows, the method and whatever else decides: what the ranges are good for.
        method: One of `range_methods.METHODS`.
        examples: Rows they were found on.
        ranges: Least and greatest value to express, by an ONNX tensor's name, or TFLite's product and side.
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
            "no calibration text has a word in it", where="quantise", cure="raise quantise.calibration_examples"
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
    method: str = DEFAULT,
    saved: Path | None = None,
) -> Calibration:
    """Finds the ranges of a file's tensors, each row run alone at its own length.

    Args:
        source: The fp32 ONNX file.
        tensors: Names of the tensors to look at.
        rows: Real text.
        method: One of `range_methods.METHODS`.
        saved: Where the calibration is kept: read when it is of the same file, rows and method, else written.

    Raises:
        UsageError: When the method is unknown, or the rows hold no text or tokens that the model does not know.
        EdgeDistilError: When the file cannot be run.
    """
    check_rows(rows)
    watched = sorted(set(tensors))
    key = calibration_key(source, rows, method, tensors=watched)
    return kept_or_found(
        saved, key, lambda: Calibration(key, method, len(rows), find_ranges(method, _runner(source, watched, rows)))
    )


def calibration_key(source: Path, rows: EvaluationSet, method: str, **more: list[str]) -> str:
    """Returns the key of a file's calibration.

    Args:
        source: The fp32 file.
        rows: What it is calibrated on.
        method: One of `range_methods.METHODS`.
        more: What else decides, by name.
    """
    facts = {"method": method, **more, "file": hash_file(source)}
    return hash_value({**facts, "ids": rows.input_ids.tolist(), "offsets": rows.offsets.tolist()})


def kept_or_found(saved: Path | None, key: str, find: Callable[[], Calibration]) -> Calibration:
    """Returns the calibration that is kept, where it is of the key, else finds it and keeps it.

    Args:
        saved: Where it is kept; None keeps it nowhere.
        key: What it must be good for.
        find: Calibrates.

    Raises:
        UsageError: When what is kept cannot be read.
    """
    if saved is not None and saved.is_file() and (kept := Calibration.load(saved)).key == key:
        return kept
    found = find()
    if saved is not None:
        found.save(saved)
    return found


def _runner(source: Path, tensors: list[str], rows: EvaluationSet) -> Run:
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

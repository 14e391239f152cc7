"""Labels for texts, by a bundle's own file: tokenizers and one runtime, no torch."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from tokenizers import Tokenizer

from edgedistil.bench.runner import runtimes
from edgedistil.bench.runner.errors import RunnerError
from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.read import Bundle, open_bundle
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.tasks import get_task
from edgedistil.tokeniser import read_tokeniser

_PREFERENCE = ("onnx-int8", "tflite-int8", "onnx-fp32", "tflite-fp32")
_EXTRAS = {"onnxruntime": "ort", "litert": "litert"}


@dataclass(frozen=True)
class Prediction:
    """What a file makes of one text.

    Attributes:
        label: The likeliest label.
        scores: Softmax of the logits, by label, summing to 1; not calibrated.
    """

    label: str
    scores: dict[str, float]


class Predictor:
    """One file of a bundle, loaded once for many texts.

    Args:
        bundle: A bundle, opened or by its folder.
        format: Name of the format; None takes the best one whose runtime is installed: int8 before fp32, ONNX before
            TFLite.
        threads: Threads one inference may use; None takes the processors this process may run on.

    Raises:
        UsageError: When the bundle cannot be used, has no such file or no tokeniser, or no runtime for it is installed.
    """

    def __init__(self, bundle: Bundle | Path | str, format: str | None = None, threads: int | None = None) -> None:  # noqa: A002
        self.bundle = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
        self.format = choose_format(self.bundle, format)
        self._labels = self.bundle.manifest.labels
        self._tokeniser = _load_tokeniser(self.bundle, self.format)
        try:
            self._runtime = runtimes.create(
                FORMATS[self.format].runtime, str(self.bundle.path(self.format)), threads or _processors()
            )
        except RunnerError as error:
            raise UsageError(str(error)) from None

    def predict(self, texts: Sequence[str]) -> list[Prediction]:
        """Labels texts, each by itself: int8 files share one activation scale over a batch, so batches would disturb.

        Args:
            texts: Longer ones than the bundle's `max_length` are cut.

        Returns:
            One prediction a text, in order.

        Raises:
            UsageError: When a text is empty or no UTF-8.
            EdgeDistilError: When the file cannot answer.
        """
        _check_texts(texts)
        return [self._predict_one(text) for text in texts]

    def _predict_one(self, text: str) -> Prediction:
        ids = np.array([self._tokeniser.encode(text).ids], dtype=np.int64)
        where = str(self.bundle.path(self.format))
        try:
            logits = self._runtime.run(ids, np.ones_like(ids))[0]
        except RunnerError as error:
            raise EdgeDistilError(str(error), where=where) from None
        if len(logits) != len(self._labels) or not np.isfinite(logits).all():
            raise EdgeDistilError(
                f"its answer is not {len(self._labels)} finite logits", where=where, cure="export the bundle again"
            )
        shares = get_task(self.bundle.manifest.task).probabilities(logits.astype(np.float64))
        scores = {label: float(share) for label, share in zip(self._labels, shares, strict=True)}
        return Prediction(self._labels[int(shares.argmax())], scores)


def predict(
    bundle: Bundle | Path | str,
    texts: Sequence[str],
    format: str | None = None,  # noqa: A002 - the word of the command line and the manifest
    threads: int | None = None,
) -> list[Prediction]:
    """Labels texts with a bundle.

    Args:
        bundle: A bundle, opened or by its folder.
        texts: The texts; longer ones than the bundle's `max_length` are cut.
        format: As for `Predictor`.
        threads: As for `Predictor`.

    Returns:
        One prediction a text, in order.

    Raises:
        UsageError: When a text is empty or no UTF-8, or the bundle or its runtime cannot be used.
        EdgeDistilError: When the file cannot answer.
    """
    _check_texts(texts)
    return Predictor(bundle, format, threads).predict(texts)


def choose_format(bundle: Bundle, name: str | None = None) -> str:
    """Returns the format to predict with.

    Args:
        bundle: An opened bundle.
        name: The format wanted; None takes the best one whose runtime is installed.

    Raises:
        UsageError: When the bundle has no such file, or no runtime for it is installed; the line names the command.
    """
    if name is not None:
        bundle.path(name)
        if name not in _PREFERENCE:
            raise UsageError(
                f"format '{name}' needs torch, and predict never does", cure=f"choose one of: {', '.join(_PREFERENCE)}"
            )
    held = [name] if name else [choice for choice in _PREFERENCE if choice in bundle.formats]
    if not held:
        raise UsageError("no ONNX or TFLite file in this bundle", where=str(bundle.folder), cure="export one")
    for choice in held:
        if _installed(FORMATS[choice].runtime):
            return choice
    missing = FORMATS[held[0]].runtime
    raise UsageError(
        f"{missing} is not installed, which '{held[0]}' needs",
        cure=f"run: pip install 'edgedistil[{_EXTRAS[missing]}]'",
    )


def _installed(runtime: str) -> bool:
    try:
        runtimes.factory_of(runtime)
    except RunnerError:
        return False
    return True


def _load_tokeniser(bundle: Bundle, format_name: str) -> Tokenizer:
    if bundle.tokenizer_path is None:
        raise UsageError("the bundle has no tokenizer.json", where=str(bundle.folder), cure="export it again")
    tokeniser = read_tokeniser(bundle.folder)
    manifest = bundle.manifest
    fixed = FORMATS[format_name].runtime == "litert" and manifest.sequence_lengths
    tokeniser.enable_truncation(min([manifest.max_length, max(fixed)] if fixed else [manifest.max_length]))
    return tokeniser


def _check_texts(texts: Sequence[str]) -> None:
    if isinstance(texts, str):
        raise UsageError("texts is one string", cure="give a list of them")
    if not texts:
        raise UsageError("no text given", cure="give at least one")
    for number, text in enumerate(texts, 1):
        if not text.strip():
            raise UsageError(f"text {number} is empty", cure="leave it out, or write something")
        try:
            text.encode()
        except UnicodeEncodeError:
            raise UsageError(f"text {number} is not UTF-8", cure="convert it, for example with iconv") from None


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0)) or 1
    return os.cpu_count() or 1

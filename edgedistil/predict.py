"""Predictions for texts, by a bundle's own file: tokenizers and one runtime, no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tokenizers import Encoding, Tokenizer

from edgedistil.bench.runner import runtimes
from edgedistil.bench.runner.cores import available_cores
from edgedistil.bench.runner.errors import RunnerError
from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.read import Bundle, open_bundle
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.predictions import AnyPrediction, FloatArray, interpret
from edgedistil.recipe.schema import Data
from edgedistil.tasks import get_task
from edgedistil.tasks.encoding import Input, check_pairs, encode_rows, encode_windows
from edgedistil.tokeniser import read_tokeniser

_PREFERENCE = (
    "onnx-int8",
    "onnx-int8-static",
    "tflite-int8",
    "tflite-int8-static",
    "onnx-int4",
    "tflite-int4",
    "onnx-fp32",
    "tflite-fp32",
    "onnx-fp16",
    "tflite-int16-static",
)
_EXTRAS = {"onnxruntime": "ort", "litert": "litert"}


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
        self._task = get_task(self.bundle.manifest.task, self._labels)
        self._data: dict[str, Any] = self.bundle.manifest.recipe.get("data") or {}
        self._tokeniser = _load_tokeniser(self.bundle)
        self._max_length = _longest(self.bundle, self.format)
        try:
            self._runtime = runtimes.create(
                FORMATS[self.format].runtime, str(self.bundle.path(self.format)), threads or available_cores()
            )
        except RunnerError as error:
            raise UsageError(str(error)) from None

    def predict(self, texts: Sequence[Input]) -> list[AnyPrediction]:
        """Answers inputs, each by itself: int8 files share one activation scale over a batch, so batches would disturb.

        Args:
            texts: By task: texts; pairs of texts; pairs of question and context. Longer ones than the bundle's
                `max_length` are cut, but contexts are read in windows that overlap.

        Returns:
            One prediction an input, in order.

        Raises:
            UsageError: When a text is empty or no UTF-8, or the task wants two and gets one, or one and gets two.
            EdgeDistilError: When the file cannot answer.
        """
        _check_texts(texts)
        self._check_sides(texts)
        return [self._predict_one(text, number) for number, text in enumerate(texts, 1)]

    @property
    def takes_pairs(self) -> bool:
        """Whether an input is two texts."""
        return self._task.windows or self._task.name == "pair-classification" or bool(self._data.get("text_pair"))

    @property
    def names(self) -> tuple[str, str]:
        """Returns what the first and the second text of an input are called."""
        return ("question", "context") if self._task.windows else ("text", "pair")

    def _check_sides(self, texts: Sequence[Input]) -> None:
        for number, text in enumerate(texts, 1):
            if isinstance(text, tuple) != self.takes_pairs:
                wanted = "a {} and a {}".format(*self.names) if self.takes_pairs else "one"
                raise UsageError(
                    f"input {number} is {'one text' if self.takes_pairs else 'two texts'}, the bundle takes {wanted}",
                    where=str(self.bundle.folder),
                    cure=f"give its {self.names[1]} as well" if self.takes_pairs else "leave the second out",
                )
        if self.takes_pairs:
            check_pairs(self._tokeniser, str(self.bundle.folder))

    def _predict_one(self, text: Input, number: int) -> AnyPrediction:
        if self._task.windows:
            stride = int(self._data.get("stride", Data.model_fields["stride"].default))
            (windows,) = encode_windows(self._tokeniser, [text], self._max_length, stride, [f"input {number}"])
            # Of invisible characters a tokeniser leaves nothing.
            if 1 not in windows[0].sequence_ids:
                raise UsageError(
                    "the tokeniser finds no word in its context",
                    where=f"input {number}",
                    cure="give a context of words",
                )
        else:
            windows = encode_rows(self._tokeniser, [text], self._max_length)
        where = str(self.bundle.path(self.format))
        try:
            logits = [self._run(encoding) for encoding in windows]
        except RunnerError as error:
            raise EdgeDistilError(str(error), where=where) from None
        judged = text[1] if isinstance(text, tuple) else text
        return interpret(self._task.name, self._labels, judged, windows, logits, where)

    def _run(self, encoding: Encoding) -> FloatArray:
        ids = np.array([encoding.ids], dtype=np.int64)
        return self._runtime.run(ids, np.ones_like(ids))[0]


def predict(
    bundle: Bundle | Path | str,
    texts: Sequence[Input],
    format: str | None = None,  # noqa: A002 - the word of the command line and the manifest
    threads: int | None = None,
) -> list[AnyPrediction]:
    """Answers inputs with a bundle.

    Args:
        bundle: A bundle, opened or by its folder.
        texts: As for `Predictor.predict`.
        format: As for `Predictor`.
        threads: As for `Predictor`.

    Returns:
        One prediction an input, in order.

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


def _load_tokeniser(bundle: Bundle) -> Tokenizer:
    if bundle.tokenizer_path is None:
        raise UsageError("the bundle has no tokenizer.json", where=str(bundle.folder), cure="export it again")
    return read_tokeniser(bundle.folder)


def _longest(bundle: Bundle, format_name: str) -> int:
    manifest = bundle.manifest
    fixed = FORMATS[format_name].runtime == "litert" and manifest.sequence_lengths
    return min([manifest.max_length, max(fixed)] if fixed else [manifest.max_length])


def _check_texts(texts: Sequence[Any]) -> None:
    if isinstance(texts, str):
        raise UsageError("texts is one string", cure="give a list of them")
    if not texts:
        raise UsageError("no text given", cure="give at least one")
    for number, text in enumerate(texts, 1):
        for part in text if isinstance(text, tuple) else (text,):
            if not part.strip():
                raise UsageError(f"text {number} is empty", cure="leave it out, or write something")
            try:
                part.encode()
            except UnicodeEncodeError:
                raise UsageError(f"text {number} is not UTF-8", cure="convert it, for example with iconv") from None

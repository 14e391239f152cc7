"""Token sets and a fine-tuned classifier of the tiny workspace, made without the data stage."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tiny

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.data.tokens import TokenWriter, load_tokeniser, open_tokens
from edgedistil.hashing import example_id

LABELS = ["negative", "positive"]
MAX_LENGTH = 32


def write_tokens(teacher: Path, folder: Path, count: int, seed: int) -> EvaluationSet:
    """Tokenises some of the tiny sentences into a folder and opens them."""
    rows = tiny.sentences(count, seed)
    encodings = load_tokeniser(teacher, MAX_LENGTH).encode_batch([text for _, text in rows])
    with TokenWriter(folder) as writer:
        writer.write(
            [encoding.ids for encoding in encodings],
            np.array([LABELS.index(label) for label, _ in rows]),
            np.array([example_id(text) for _, text in rows]),
        )
    return open_tokens(folder)

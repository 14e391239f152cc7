"""Sources of examples. A new one is a file here and a line in `SOURCES`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from edgedistil.data.sources import files, hub, movie_reviews
from edgedistil.data.sources.base import Rows, Source
from edgedistil.errors import UsageError, did_you_mean
from edgedistil.recipe.load import Workspace
from edgedistil.recipe.schema import Data

SOURCES: dict[str, Callable[[Data, Workspace, Path], Source]] = {
    "files": files.FileSource,
    "hub": hub.HubSource,
    "movie-reviews": movie_reviews.MovieReviews,
}


def open_source(data: Data, workspace: Workspace, downloads: Path) -> Source:
    """Returns the source that a recipe's `data.source` names."""
    if data.source not in SOURCES:
        raise UsageError(f"unknown data source '{data.source}'", cure=did_you_mean(data.source, SOURCES))
    return SOURCES[data.source](data, workspace, downloads)


__all__ = ["Rows", "Source", "open_source"]

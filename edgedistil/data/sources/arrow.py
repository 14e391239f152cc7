"""Rows of other layouts written to an Arrow file as they come, and opened memory-mapped."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import datasets
    import pyarrow as pa  # type: ignore[import-untyped]

_ROWS = 1000


def arrow_table(rows: Iterable[dict[str, Any]], schema: pa.Schema, path: Path) -> datasets.Dataset:
    """Writes rows in batches, and opens what was written.

    Args:
        rows: One dictionary a row.
        schema: Of the columns.
        path: The file; named for the contents it is made of, for one that is there is taken as it is.
    """
    import datasets
    import pyarrow as pa  # type: ignore[import-untyped]

    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as scratch:
            made = Path(scratch) / "rows.arrow"
            with pa.OSFile(str(made), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
                for part in _batches(iter(rows)):
                    writer.write_batch(pa.RecordBatch.from_pylist(part, schema))
            # In one step, so that a row that cannot be read leaves no half of a table.
            made.rename(path)
    return datasets.Dataset.from_file(str(path))


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    while part := list(islice(rows, _ROWS)):
        yield part

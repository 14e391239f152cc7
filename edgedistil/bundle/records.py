"""JSON records on disk, read into checked models with errors of one line."""

from __future__ import annotations

import json
import os
import tempfile
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from edgedistil.errors import EdgeDistilError, UsageError

_MOST_BYTES = 256 << 20


class Record(BaseModel):
    """Base of every record: immutable, an unknown key or a NaN is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False, use_attribute_docstrings=True)


Model = TypeVar("Model", bound=BaseModel)


def read_json(path: Path, *, what: str) -> Any:
    """Reads a JSON file.

    Args:
        path: The file.
        what: What the file should be, for the error, such as `bundle manifest`.

    Raises:
        UsageError: When it is missing, cannot be read, is no UTF-8, is too large or is no JSON.
    """
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise UsageError(f"too large for a {what}", where=str(path))
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"no such {what}", where=str(path)) from None
    except json.JSONDecodeError as error:
        raise UsageError(
            f"not valid JSON (line {error.lineno}: {error.msg})",
            where=str(path),
            cure=f"the {what} is damaged or cut short: make or copy it again",
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageError(f"cannot read the {what} ({error})", where=str(path)) from None


def check(value: Any, model: type[Model], *, where: str, version: int | None = None) -> Model:
    """Checks a JSON value against a model.

    Args:
        value: What `read_json` returned.
        model: The record it should be.
        where: The file, for the error.
        version: The `schema_version` that this release reads; None when the record has none.

    Raises:
        UsageError: When the value is no such record, or of another schema version.
    """
    if version is not None:
        check_version(value, version, where=where)
    try:
        return model.model_validate_json(json.dumps(value))
    except (ValidationError, RecursionError) as error:
        raise UsageError(first_error(error), where=where) from None


def check_version(value: Any, version: int, *, where: str) -> None:
    """Checks the `schema_version` of a JSON object before the rest of it is looked at.

    Raises:
        UsageError: When the value is no object, or its version is not `version`.
    """
    if not isinstance(value, dict) or "schema_version" not in value:
        raise UsageError("no 'schema_version' in it, so it is none of edgedistil's records", where=where)
    found = value["schema_version"]
    if found != version or isinstance(found, bool):
        newer = isinstance(found, int) and found > version
        cure = "upgrade edgedistil: pip install -U edgedistil" if newer else "make the file again"
        raise UsageError(f"schema_version {found!r} is unknown; this release reads {version}", where=where, cure=cure)


def first_error(error: Exception) -> str:
    """Returns a validation error's first complaint as one clause with the key it is about."""
    if not isinstance(error, ValidationError):
        return str(error) or type(error).__name__
    first = error.errors(include_url=False, include_context=False)[0]
    message = first["msg"].removeprefix("Value error, ")
    place = ".".join(str(part) for part in first["loc"])
    return f"'{place}': {message}" if place else message


def check_place(path: Path) -> None:
    """Checks that a file can be written, before the work that it is to hold; makes the folder it lies in.

    Raises:
        UsageError: When it is a folder, or its folder cannot be made or written.
    """
    if path.is_dir():
        raise UsageError("is a folder", where=str(path), cure="name a file")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        what = "not a folder" if isinstance(error, FileExistsError | NotADirectoryError) else error.strerror
        raise UsageError(
            f"nothing can be written there ({what})", where=str(path.parent), cure="choose another folder"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Writes a text file whole or not at all: to a temporary file beside it, then renamed.

    Raises:
        EdgeDistilError: When the disk is full or the folder cannot be written.
    """
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        with os.fdopen(handle, "w", encoding="utf-8", newline="\n") as stream:
            stream.write(text)
        Path(temporary).chmod(0o644)
        Path(temporary).replace(path)
    except OSError as error:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)
        raise EdgeDistilError(
            f"cannot write it ({error.strerror})", where=str(path), cure="free space or choose another folder"
        ) from error

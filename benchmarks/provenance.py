"""When, on what and with which packages a result was made, the same facts beside every result; and its file."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from edgedistil.bench.facts import local_facts
from edgedistil.pipeline.bundling import package_versions


def machine() -> str:
    """Returns this machine in a few words."""
    facts = local_facts()
    return f"{facts.cores} cores of {facts.cpu}, {facts.memory_mb / 1000:.0f} GB"


def provenance(versions: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Returns the day, the machine, its instruction sets, and packages' versions.

    Args:
        versions: Of packages besides those that decide what a file is.
    """
    return {
        "date": dt.datetime.now(dt.timezone.utc).date().isoformat(),
        "machine": machine(),
        "flags": local_facts().flags,
        "versions": package_versions() | dict(versions or {}),
    }


def write_record(path: Path, record: Mapping[str, Any]) -> Path:
    """Writes a result as JSON, its folder made if missing; returns its file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return path

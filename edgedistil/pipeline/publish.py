"""What a run leaves in the workspace: the bundle with its measured accuracies, the measurements, the report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgedistil.bench.measurement import Measurement, read_measurements
from edgedistil.bundle.formats import FORMATS
from edgedistil.bundle.manifest import Accuracy
from edgedistil.bundle.read import Bundle, open_bundle, read_manifest
from edgedistil.bundle.records import write_text
from edgedistil.bundle.write import record_accuracy, record_recipe
from edgedistil.errors import EdgeDistilError, UsageError
from edgedistil.hashing import hash_file, hash_value
from edgedistil.pipeline.cache import Finished
from edgedistil.pipeline.replacing import replace_folder, written_card
from edgedistil.report.trials import TRIALS_NAME

_STAMP = ".published.json"
_BUNDLES = {
    "export": "bundle",
    "reference-teacher": "reference/teacher",
    "reference-student": "reference/student",
}
_PUBLISHED = (*_BUNDLES, "bench")


@dataclass(frozen=True)
class Published:
    """A run's things in the workspace.

    Attributes:
        folder: `runs/<recipe name>/`.
        bundle: The artefact to ship.
        measurements: A record a file, the teacher first; empty before the bench.
        report: The HTML, where there are measurements.
    """

    folder: Path
    bundle: Bundle
    measurements: list[Measurement]
    report: Path | None


def publish(folder: Path, finished: dict[str, Finished], recipe: Mapping[str, Any]) -> Published:
    """Puts the finished stages' results where a person looks for them; does nothing when they are there.

    Args:
        folder: `runs/<recipe name>/`.
        finished: The run's stages, by name: `export`, and where they were run the references and `bench`.
        recipe: As JSON. A stage's bundle may be of an older one, which differs in what no file depends on: how files
            are measured, and what a gate allows.

    Raises:
        EdgeDistilError: When the folder cannot be written.
    """
    # A stage that was removed and done anew has its key of before, but other results: times, say.
    made = {name: hash_file(finished[name].record) for name in _PUBLISHED if name in finished}
    stamp = hash_value({"stages": made, "recipe": dict(recipe)})
    place = folder / "bundle"
    if not _is_published(folder, stamp, measured="bench" in finished):
        with _writing(folder):
            _publish_all(folder, finished, recipe)
            write_text(folder / _STAMP, json.dumps({"stamp": stamp, "cards": _cards(folder)}))
    measurements = read_measurements(folder / "measurements.jsonl") if "bench" in finished else []
    report = folder / "report.html" if "bench" in finished else None
    return Published(folder, open_bundle(place, verify=False), measurements, report)


def publish_encoder(folder: Path, general: Finished) -> Path:
    """Puts a distilled encoder where a person looks for it, and where a recipe may name it as a teacher.

    Args:
        folder: `runs/<recipe name>/`.
        general: The finished stage.

    Returns:
        The folder, of Hugging Face's layout.

    Raises:
        EdgeDistilError: When it cannot be written.
    """
    with _writing(folder):
        replace_folder(general.folder / "encoder", folder / "encoder")
    return folder / "encoder"


@contextmanager
def _writing(folder: Path) -> Iterator[None]:
    """Makes a run's folder, and turns what keeps it from being written into one line."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except OSError as error:
        raise EdgeDistilError(
            f"cannot write the run's results ({_reason(error)})",
            where=str(folder),
            cure="free space or make it writable, and run the same command again; its stages are kept",
        ) from error


def _reason(error: OSError) -> str:
    # Copying a folder goes on to its end, and then tells of every file that could not be.
    if isinstance(error, shutil.Error):
        return str(error.args[0][0][-1]).partition(": ")[0]
    return error.strerror or str(error)


def _publish_all(folder: Path, finished: Mapping[str, Finished], recipe: Mapping[str, Any]) -> None:
    cards = _stamp(folder).get("cards", {})
    for name, target in _BUNDLES.items():
        if name in finished:
            replace_folder(finished[name].folder / "bundle", folder / target, cards.get(target))
            record_recipe(open_bundle(folder / target, verify=False), recipe)
    _publish_trials(folder)
    if "bench" in finished:
        _publish_bench(folder, finished["bench"].folder / "measurements.jsonl")
    else:
        _record_known(folder)


def _publish_trials(folder: Path) -> None:
    """Puts the bundle's log of trials beside it, and takes an older run's away."""
    source, place = folder / "bundle" / TRIALS_NAME, folder / TRIALS_NAME
    if source.is_file():
        shutil.copyfile(source, place)
    else:
        place.unlink(missing_ok=True)


def _publish_bench(folder: Path, source: Path) -> None:
    from edgedistil.report.html import write_report

    measurements = read_measurements(source)
    _record_all(folder, measurements)
    shutil.copyfile(source, folder / "measurements.jsonl")
    write_report(folder / "report.html", measurements, open_bundle(folder / "bundle", verify=False))


def _record_known(folder: Path) -> None:
    """Puts back what an earlier bench found of these very files: a run that stops before it makes none unknown."""
    path = folder / "measurements.jsonl"
    if path.is_file():
        _record_all(folder, read_measurements(path))


def _record_all(folder: Path, measurements: list[Measurement]) -> None:
    for place in _BUNDLES.values():
        if (folder / place).is_dir():
            _record(open_bundle(folder / place, verify=False), measurements)


def _record(bundle: Bundle, measurements: list[Measurement]) -> None:
    # A file is scored in every runtime that the device opens it with; the last one put in is the format's usual one.
    held = {file.format: file.sha256 for file in bundle.manifest.files}
    accuracies = {
        made.format: Accuracy(**made.accuracy.model_dump())
        for made in sorted(measurements, key=lambda one: FORMATS[one.format].runtime == one.runtime)
        if made.accuracy and made.bundle == bundle.manifest.name and held.get(made.format) == made.sha256
    }
    record_accuracy(bundle, accuracies)


def _cards(folder: Path) -> dict[str, str]:
    """Returns what tells later whether a person has edited a bundle's card."""
    there = [place for place in _BUNDLES.values() if (folder / place).is_dir()]
    return {place: written_card(read_manifest(folder / place)) for place in there}


def _stamp(folder: Path) -> dict[str, Any]:
    try:
        found = json.loads((folder / _STAMP).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _is_published(folder: Path, stamp: str, *, measured: bool) -> bool:
    """Returns whether these very results lie there whole; what was removed or changed is put back."""
    try:
        open_bundle(folder / "bundle")
    except (OSError, UsageError):
        return False
    same = _stamp(folder).get("stamp") == stamp
    return same and (not measured or all((folder / name).is_file() for name in ("measurements.jsonl", "report.html")))

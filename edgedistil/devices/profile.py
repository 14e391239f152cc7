"""Device profiles: a few lines of YAML that say what a device is and how to reach it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from edgedistil.bench.cases import Case
from edgedistil.bench.facts import DeviceFacts
from edgedistil.bench.runner.runtimes import names as runtime_names
from edgedistil.bench.scores import Examples
from edgedistil.bench.session import BenchResult
from edgedistil.bench.settings import BenchSettings
from edgedistil.errors import UsageError, did_you_mean
from edgedistil.progress import Progress
from edgedistil.recipe.strict_yaml import read_yaml

_SUFFIX = ".yaml"


class DeviceProfile(BaseModel):
    """What every device has; a kind with more to say adds its fields in a subclass.

    Attributes:
        name: Short name, by default the profile file's.
        kind: How the device is reached.
        description: One line for lists.
        threads: Threads an inference may use; None for all cores.
        runtimes: Runtimes to bench with there; files of any other are left out.
        cool_below_c: Every round of a bench waits until the hottest sensor is below this many degrees; None does not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(min_length=1)
    kind: str
    description: str = ""
    threads: int | None = Field(default=None, ge=1)
    runtimes: list[str] = Field(default=["onnxruntime", "litert"], min_length=1)
    cool_below_c: float | None = Field(default=None, gt=0)

    @property
    def opens(self) -> set[str]:
        """The runtimes, as the bundle's formats name them, whose files the device can be given."""
        return set(self.runtimes)

    @classmethod
    def known_runtimes(cls) -> list[str]:
        """Returns what `runtimes` may name."""
        return runtime_names()


class Device(Protocol):
    """A device that can bench."""

    @property
    def profile(self) -> DeviceProfile:
        """What describes it."""

    @property
    def threads(self) -> int:
        """Threads an inference may use there."""

    def facts(self) -> DeviceFacts:
        """Returns what kind of device it is."""

    def bench(
        self,
        cases: Sequence[Case],
        examples: Examples | None,
        settings: BenchSettings | None = None,
        progress: Progress | None = None,
    ) -> BenchResult:
        """Measures the cases there; see `edgedistil.bench.session.run_bench`."""


@dataclass(frozen=True)
class Kind:
    """A way to reach devices.

    Attributes:
        profile: The profile's class.
        connect: Makes the device of a profile of that class.
    """

    profile: type[DeviceProfile]
    connect: Callable[[Any], Device]


_KINDS: dict[str, Kind] = {}


def register(name: str, kind: Kind) -> None:
    """Adds a kind of device, under the name profiles give as `kind`."""
    _KINDS[name] = kind


def connect(profile: DeviceProfile) -> Device:
    """Makes the device a profile describes."""
    return _kind(profile.kind, profile.name).connect(profile)


def _kind(name: str, where: str) -> Kind:
    if name not in _KINDS:
        raise UsageError(f"unknown kind of device '{name}'", where=where, cure=did_you_mean(name, _KINDS))
    return _KINDS[name]


def list_profiles(folders: Sequence[Path]) -> list[DeviceProfile]:
    """Reads every profile of some folders, a name in an earlier folder hiding the same name in a later one.

    Raises:
        UsageError: When one of them cannot be used.
    """
    paths: dict[str, Path] = {}
    for folder in folders:
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            paths.setdefault(path.stem, path)
    return [read_profile(path) for path in paths.values()]


def load_profile(name_or_path: str, folders: Sequence[Path]) -> DeviceProfile:
    """Finds and reads a profile.

    Args:
        name_or_path: A profile's name, or the path of its YAML file. `local` is known without a file.
        folders: Where to look for `<name>.yaml`, in this order.

    Returns:
        The profile, of its kind's class.

    Raises:
        UsageError: When there is no such profile, or it cannot be used.
    """
    if name_or_path.endswith(_SUFFIX):
        return read_profile(Path(name_or_path))
    for folder in folders:
        path = folder / f"{name_or_path}{_SUFFIX}"
        if path.is_file():
            return read_profile(path)
    if name_or_path == "local":
        return DeviceProfile(name="local", kind="local", description="this machine")
    known = {"local", *(path.stem for folder in folders for path in folder.glob(f"*{_SUFFIX}"))}
    raise UsageError(f"no device named '{name_or_path}'", cure=did_you_mean(name_or_path, known))


def read_profile(path: Path) -> DeviceProfile:
    """Reads a profile's YAML file.

    Raises:
        UsageError: When the file cannot be read, is no mapping, or has an unknown or wrong key.
    """
    where = str(path)
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise UsageError("no such file", where=where, cure="name a profile in devices/") from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read ({error})", where=where, cure="check the file") from error
    fields = read_yaml(text, where)
    if not isinstance(fields, dict):
        raise UsageError("a device profile is a mapping of keys", where=where, cure="see devices/local.yaml")
    kind = _kind(str(fields.get("kind", "")), where)
    try:
        profile = kind.profile.model_validate({"name": path.stem, **fields})
    except ValidationError as error:
        raise _fault(error, kind.profile, where) from error
    for runtime in profile.runtimes:
        if runtime not in profile.known_runtimes():
            cure = did_you_mean(runtime, profile.known_runtimes())
            raise UsageError(f"unknown runtime '{runtime}'", where=where, cure=cure)
    return profile


def _fault(error: ValidationError, model: type[DeviceProfile], where: str) -> UsageError:
    fault = error.errors()[0]
    key = ".".join(str(part) for part in fault["loc"])
    if fault["type"] == "extra_forbidden":
        return UsageError(f"unknown key '{key}'", where=where, cure=did_you_mean(key, model.model_fields))
    return UsageError(f"{key}: {fault['msg']}", where=where, cure="see devices/local.yaml")

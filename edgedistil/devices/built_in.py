"""The profiles that come with the package, for a workspace that has none of that name."""

from __future__ import annotations

from pathlib import Path


def profile_folders(workspace: Path) -> list[Path]:
    """Returns where profiles are looked for: the workspace's own `devices/`, then those that come with the package.

    Args:
        workspace: The folder that holds `devices/`.
    """
    return [workspace / "devices", built_in_profiles()]


def built_in_profiles() -> Path:
    """Returns the folder of the profiles that come with the package.

    A wheel holds them beside this file; in a checkout they are the repository's own `devices/`.
    """
    packaged = Path(__file__).with_name("profiles")
    return packaged if packaged.is_dir() else Path(__file__).resolve().parents[2] / "devices"

"""Fixtures of the devices' tests."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ssh_server import Server, serve
from tiny_bundle import make_bundle

from edgedistil.bench.settings import BenchSettings
from edgedistil.bundle import Bundle
from edgedistil.devices.ssh import SshDevice, SshProfile


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with serve(tmp_path_factory.mktemp("sshd")) as running:
        yield running


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_bundle(tmp_path_factory.mktemp("bundle"))


@pytest.fixture
def device(server: Server, tmp_path: Path) -> Callable[..., SshDevice]:
    """Makes a device that is this machine behind a real sshd, its folder in a temporary place."""

    def make(**changes: Any) -> SshDevice:
        fields = {
            "name": "pi",
            "kind": "ssh",
            "host": "device",
            "config": changes.get("config") or server.write_config(),
            "python": sys.executable,
            "folder": str(tmp_path / "there"),
            "threads": 1,
            **changes,
        }
        return SshDevice(SshProfile.model_validate(fields))

    return make


@pytest.fixture
def quick() -> BenchSettings:
    """Settings that end within a second a file."""
    return BenchSettings(
        relative_width=1, max_seconds=0.3, min_blocks=3, block_seconds=0.02, warmup_seconds=0.2, timeout_seconds=30
    )

"""A real sshd on this machine, with keys and configuration of its own, and a wire that can be cut."""

from __future__ import annotations

import contextlib
import getpass
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SSHD = shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


def needs_sshd() -> None:
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("no sshd or ssh on this machine: apt-get install openssh-server")


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


class Wire:
    """Forwards a port to another, until it is cut."""

    def __init__(self, target: int) -> None:
        self.target, self._open = target, True
        self._pairs: list[socket.socket] = []
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        self.bytes = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = self._server.accept()
                if not self._open:
                    near.close()
                    continue
                far = socket.create_connection(("127.0.0.1", self.target))
                self._pairs += [near, far]
                for one, other in ((near, far), (far, near)):
                    threading.Thread(target=self._carry, args=(one, other), daemon=True).start()

    def _carry(self, one: socket.socket, other: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := one.recv(1 << 16):
                self.bytes += len(data)
                other.sendall(data)
        for end in (one, other):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)

    def cut(self) -> None:
        """Breaks every connection that is open."""
        for end in self._pairs:
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
                end.close()
        self._pairs.clear()

    def close(self) -> None:
        """Cuts it for good."""
        self._open = False
        self._server.close()
        self.cut()


class Server:
    """A running sshd; `config` is what `ssh -F` is to be given, with the host `device` in it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()
        self.config, self.known_hosts = folder / "ssh_config", folder / "known_hosts"
        self.key = folder / "user_key"
        for key in ("host_key", "user_key", "other_key"):
            make_key(folder / key)
        shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
        (folder / "sshd_config").write_text(
            f"ListenAddress 127.0.0.1\nPort {self.port}\nHostKey {folder}/host_key\nPidFile none\n"
            f"AuthorizedKeysFile {folder}/authorized_keys\nStrictModes no\nUsePAM no\nPermitRootLogin yes\n"
            "PasswordAuthentication no\nKbdInteractiveAuthentication no\nMaxStartups 50\n"
        )
        self.write_config()

    def write_config(self, port: int | None = None, key: str = "user_key", host_key: str = "host_key") -> Path:
        """What the user would have in `~/.ssh/config` and known_hosts."""
        port = port or self.port
        public = (self.folder / f"{host_key or self.key.name}.pub").read_text().split()[:2]
        self.known_hosts.write_text(f"[127.0.0.1]:{port} {' '.join(public)}\n" if host_key else "")
        self.config.write_text(
            f"Host device\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n"
            f"  IdentityFile {self.folder}/{key}\n  IdentitiesOnly yes\n  UserKnownHostsFile {self.known_hosts}\n"
            "  GlobalKnownHostsFile /dev/null\n"
        )
        return self.config

    def start(self) -> subprocess.Popen[bytes]:
        if os.geteuid() == 0:
            Path("/run/sshd").mkdir(exist_ok=True)
        process = subprocess.Popen(
            [str(SSHD), "-D", "-e", "-f", str(self.folder / "sshd_config")], stderr=(self.folder / "log").open("wb")
        )
        end = time.monotonic() + 60
        while time.monotonic() < end:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1):
                return process
            if process.poll() is not None:
                log = (self.folder / "log").read_text()[-300:]
                # Who may run one is the machine's doing; its keys and configuration are ours.
                assert "rivilege separation" in log, f"sshd ends at once: {log}"
                pytest.skip(f"sshd does not start here: {log}")
            time.sleep(0.05)
        process.kill()
        pytest.fail(f"sshd runs and does not listen: {(self.folder / 'log').read_text()[-300:]}")


def make_key(path: Path) -> None:
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(path)], check=True)


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[Server]:
    needs_sshd()
    server = Server(folder)
    process = server.start()
    try:
        yield server
    finally:
        process.kill()
        process.wait()

"""The emulated device's sshd: its keys, its settings, and the private namespaces it lives in."""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from edgedistil.devices.emulated.binfmt import own_name, register_script, unregister
from edgedistil.devices.emulated.boards import Board
from edgedistil.devices.emulated.root import PASSWD, USER
from edgedistil.errors import EdgeDistilError

HOST = "127.0.0.1"
_START_SECONDS = 30.0
_GRACE_SECONDS = 5.0
_PORT_TRIES = 5
_CHROOT = "/run/device"
_TOOLS = {"sshd": "openssh-server", "ssh": "openssh-client", "unshare": "util-linux", "setpriv": "util-linux"}
# sshd is seldom on a user's PATH.
_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


def missing() -> str | None:
    """Returns in one line what is not installed, None where all is."""
    absent = sorted({package for tool, package in _TOOLS.items() if shutil.which(tool, path=_PATH) is None})
    if absent:
        return f"an emulated device needs more packages; run: apt-get install {' '.join(absent)}"
    return None


@dataclass(frozen=True)
class Server:
    """A running sshd.

    Attributes:
        port: Where it listens.
        config: An OpenSSH client configuration that reaches it under the alias it was started for.
        key: Its user's private key.
        known_hosts: Its host key, for a client to check.
        process: The process whose end is the end of every process on the device.
        registration: Name of its binfmt entry.
    """

    port: int
    config: Path
    key: Path
    known_hosts: Path
    process: subprocess.Popen[bytes]
    registration: str

    def stop(self) -> None:
        """Ends every process on the device; its mounts go with the last of them."""
        try:
            _end(self.process)
        finally:
            unregister(self.registration)


def start(root: Path, board: Board, alias: str, folder: Path) -> Server:
    """Starts an sshd whose users see the file system and the processor of a device.

    Args:
        root: The file system, which stays as it is: changes are kept in memory and lost.
        board: The device.
        alias: The name that the client configuration gives it.
        folder: A private folder for keys, settings and the log.

    Returns:
        The server, answering.

    Raises:
        EdgeDistilError: When it does not start; one line that says why.
    """
    for name in ("host_key", "user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", alias, "-f", folder / name], check=True)
    (folder / "cpuinfo").write_text(board.cpuinfo, encoding="ascii")
    (folder / "passwd").write_text(f"{PASSWD}sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n", encoding="ascii")
    # The same folder may serve several starts, one after the other.
    registration = own_name(alias.replace("-", "_"))
    fault = ""
    for _ in range(_PORT_TRIES):
        port = _free_port()
        (folder / "sshd_config").write_text(_server_config(board, port, folder), encoding="utf-8")
        process = _launch(_script(root, folder, registration), folder / "sshd.log")
        try:
            fault = _await(process, port, folder / "sshd.log")
        except BaseException:
            _end(process)
            unregister(registration)
            raise
        if not fault:
            _write_client_files(alias, port, folder)
            return Server(
                port, folder / "ssh_config", folder / "user_key", folder / "known_hosts", process, registration
            )
        _end(process)
        unregister(registration)
        if "Address already in use" not in fault:
            break
    cure = "it needs the right to mount (in a container: --privileged)" if "mount" in fault else "see its log"
    raise EdgeDistilError(f"the emulated device does not start ({fault})", cure=cure)


def _server_config(board: Board, port: int, folder: Path) -> str:
    """Returns sshd's settings.

    `SetEnv` and not a login script gives QEMU_CPU: it must be there for the very first program, the login shell.
    onnxruntime's telemetry is switched off as a matter of course: it writes a database at home and wants to send it.
    """
    lines = [
        f"Port {port}",
        f"ListenAddress {HOST}",
        f"HostKey {folder / 'host_key'}",
        "AuthorizedKeysFile /run/authorized_keys",
        f"PidFile {folder / 'sshd.pid'}",
        f"ChrootDirectory {_CHROOT}",
        f"SetEnv QEMU_CPU={board.cpu} ORT_DISABLE_TELEMETRY=1",
        "Subsystem sftp internal-sftp",
        "AuthenticationMethods publickey",
        "UsePAM no",
        "UseDNS no",
        "PrintMotd no",
        "MaxStartups 100",
        "MaxSessions 100",
    ]
    return "\n".join(lines) + "\n"


def _script(root: Path, folder: Path, registration: str) -> str:
    """Returns the shell script that builds the device around sshd, run as the first process of private namespaces.

    Whatever it mounts is seen by it and its children alone and vanishes with them. sshd wants every folder above its
    chroot to belong to root and be closed to others, and reads the keys as the user who logs in, so both are put below
    a `/run` of its own.
    """
    layer = f"lowerdir={root},upperdir=/run/layer/upper,workdir=/run/layer/work"
    quoted = shlex.quote(str(folder))
    sshd = shutil.which("sshd", path=_PATH)
    return f"""set -e
exec 2>&1
mount -t tmpfs -o mode=755 tmpfs /run
mkdir -p /run/sshd /run/layer/upper /run/layer/work {_CHROOT}
mount -t overlay -o {shlex.quote(layer)} overlay {_CHROOT}
chmod 755 {_CHROOT}
mount -t proc proc {_CHROOT}/proc
mount --bind {quoted}/cpuinfo {_CHROOT}/proc/cpuinfo
mount --bind {quoted}/passwd /etc/passwd
install -m 644 {quoted}/user_key.pub /run/authorized_keys
{register_script(registration)}
exec {sshd} -D -e -f {quoted}/sshd_config
"""


def _launch(script: str, log: Path) -> subprocess.Popen[bytes]:
    """Starts the script in namespaces that die with this process, however it dies."""
    tie = ["setpriv", "--pdeathsig", "KILL"]
    apart = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child", "--ipc"]
    with log.open("wb") as stream:
        return subprocess.Popen(
            [*tie, *apart, "sh", "-c", script],
            stdin=subprocess.DEVNULL,
            stdout=stream,
            stderr=stream,
            # A Ctrl-C is for the caller, who then brings the device down in order.
            start_new_session=True,
        )


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the first process of the namespace, with which the kernel ends all others, and lets its parent see it off.

    Were the parent killed instead, the child would be left to the machine's first process, which in a container may
    never see it off.
    """
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    with contextlib.suppress(OSError):
        for child in children.read_text(encoding="ascii").split():
            os.kill(int(child), signal.SIGKILL)
    try:
        process.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _free_port() -> int:
    with socket.socket() as found:
        found.bind((HOST, 0))
        port: int = found.getsockname()[1]
        return port


def _await(process: subprocess.Popen[bytes], port: int, log: Path) -> str:
    """Waits until the server greets; returns the last line of its log when it does not."""
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        try:
            with socket.create_connection((HOST, port), timeout=5) as connection:
                if connection.recv(4) == b"SSH-" and process.poll() is None:
                    return ""
        except OSError:
            time.sleep(0.05)
    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()
    return lines[-1][:300] if lines else f"silent for {_START_SECONDS:g} s"


def _write_client_files(alias: str, port: int, folder: Path) -> None:
    kind, host_key, *_ = (folder / "host_key.pub").read_text(encoding="ascii").split()
    (folder / "known_hosts").write_text(f"[{HOST}]:{port} {kind} {host_key}\n", encoding="ascii")
    lines = [
        f"Host {alias}",
        f"  HostName {HOST}",
        f"  Port {port}",
        f"  User {USER}",
        f'  IdentityFile "{folder / "user_key"}"',
        f'  UserKnownHostsFile "{folder / "known_hosts"}"',
        "  GlobalKnownHostsFile /dev/null",
        "  IdentitiesOnly yes",
        "  IdentityAgent none",
        "  StrictHostKeyChecking yes",
        "  BatchMode yes",
    ]
    (folder / "ssh_config").write_text("\n".join(lines) + "\n", encoding="utf-8")

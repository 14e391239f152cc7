from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest
from ssh_server import Server

from edgedistil.bench.transport import LinkError
from edgedistil.devices.faults import fault
from edgedistil.devices.login import Login
from edgedistil.devices.ssh import SshDevice
from edgedistil.errors import UsageError

CHANGED = (
    "WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!\r\n"
    "Offending ED25519 key in /home/me/known hosts:3\r\n"
    "Host key for [10.0.0.7]:2200 has changed and you have requested strict checking.\r\n"
)
UNKNOWN, REFUSED = "Host key verification failed.", "pi@pi: Permission denied (publickey)."
FULL = Login("pi", "me", 2222, Path("my config"))


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        ("client_loop: send disconnect: Broken pipe", LinkError),
        ("Connection to 10.0.0.7 closed by remote host.", LinkError),
        ("ssh: connect to host pi port 22: No route to host", LinkError),
        ("", LinkError),
        (f"x\n{UNKNOWN}\n", UsageError),
        (REFUSED, UsageError),
    ],
)
def test_only_what_may_mend_itself_is_tried_again(words: str, kind: type) -> None:
    found = fault(words, "pi5", Login("pi"))
    assert type(found) is kind
    assert "\n" not in str(found)
    assert str(found).startswith("pi5 (pi): ")


@pytest.mark.parametrize(
    ("words", "login", "cure"),
    [
        (UNKNOWN, Login("pi"), "run once: ssh pi, and"),
        (UNKNOWN, FULL, "run once: ssh -F 'my config' -p 2222 -l me pi, and"),
        (REFUSED, Login("pi"), "run: ssh-copy-id pi, or"),
        (REFUSED, FULL, "run: ssh-copy-id -F 'my config' -p 2222 me@pi, or"),
        (CHANGED.splitlines()[0], Login("pi", port=22), "anew: ssh-keygen -R pi, then ssh -p 22 pi once"),
        (CHANGED.splitlines()[0], Login("me@pi", port=2222), "anew: ssh-keygen -R '[pi]:2222', then ssh -p 2222 me@pi"),
        (CHANGED, FULL, "anew: ssh-keygen -f '/home/me/known hosts' -R '[10.0.0.7]:2200', then ssh -F 'my config'"),
    ],
)
def test_a_cure_reaches_the_device_as_the_profile_does(words: str, login: Login, cure: str) -> None:
    line = str(fault(words, "pi5", login))
    assert cure in line
    assert "\n" not in line


def test_the_key_to_forget_is_named_as_ssh_knows_it(device: Callable[..., SshDevice], server: Server) -> None:
    pi = device()
    server.write_config(host_key="other_key")
    with pytest.raises(UsageError) as caught:
        pi.facts()
    file, config = shlex.quote(str(server.known_hosts)), shlex.quote(str(server.config))
    forget = f"ssh-keygen -f {file} -R '[127.0.0.1]:{server.port}'"
    assert f"{forget}, then ssh -F {config} device once" in str(caught.value)

"""What OpenSSH's last words mean, and what to do about them."""

from __future__ import annotations

from edgedistil.bench.transport import LinkError
from edgedistil.devices.login import Login
from edgedistil.errors import EdgeDistilError, UsageError

# OpenSSH's own wording (ssh.c, sshconnect.c, sshconnect2.c, readconf.c); the first that fits counts.
_FATAL = (
    (
        ("REMOTE HOST IDENTIFICATION HAS CHANGED", "POSSIBLE DNS SPOOFING"),
        "its host key is another than the one known",
        "if it was set up anew: {forget_key}, then {ssh} once and compare the fingerprint",
    ),
    (
        ("Host key verification failed", "No matching host key", "host key is known for"),
        "its host key is not known here",
        "run once: {ssh}, and compare the fingerprint",
    ),
    (
        ("Permission denied", "Too many authentication failures", "no mutual signature"),
        "it refuses our key",
        "run: {copy_key}, or ssh-add for a key with a passphrase",
    ),
    (
        ("Could not resolve hostname", "Name or service not known", "hostname contains invalid characters"),
        "no such host",
        "check 'host' in its profile, or add it to ~/.ssh/config",
    ),
    (
        ("Bad configuration option", "terminating, ", "Can't open user config file", "Bad owner or permissions"),
        "its ssh configuration cannot be used",
        "check the file that 'config' names, or ~/.ssh/config",
    ),
)
_UNREACHABLE = ("Connection refused", "timed out", "No route to host", "Network is unreachable", "Host is down")


def fault(words: str, device: str, login: Login) -> EdgeDistilError:
    """Returns what made `ssh` fail, from what it wrote to standard error.

    Args:
        words: Standard error.
        device: The profile's name.
        login: How `ssh` was told to reach it.

    Returns:
        A `UsageError` for what will not mend itself; a `LinkError` for what may be tried again.
    """
    where = f"{device} ({login.host})"
    for signs, what, cure in _FATAL:
        if any(sign in words for sign in signs):
            commands = {"ssh": login.ssh(), "copy_key": login.copy_key(), "forget_key": login.forget_key(words)}
            return UsageError(f"{what}{_said(words, signs)}", where=where, cure=cure.format(**commands))
    if any(sign in words for sign in _UNREACHABLE):
        return LinkError(
            f"it cannot be reached{_said(words, _UNREACHABLE)}", where=where, cure="check its power, network and sshd"
        )
    last = words.strip().splitlines()[-1].strip() if words.strip() else "no reason given"
    return LinkError(f"the link dropped ({last[:200]})", where=where, cure="check its power and network")


def _said(words: str, signs: tuple[str, ...]) -> str:
    line = next((line.strip() for line in words.splitlines() if any(sign in line for sign in signs)), "")
    line = line.strip("@ ").removeprefix("WARNING: ")
    return f" ({line[:200]})" if line else ""

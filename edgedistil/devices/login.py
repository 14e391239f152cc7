"""How a device is logged in to, as words for OpenSSH's commands."""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass
from pathlib import Path

_SSH_PORT = 22
# OpenSSH's own wording (sshconnect.c): an alias's key is known under a name that only the configuration tells.
_KNOWN_AS = re.compile(r"^Host key for (\S+) has changed", re.MULTILINE)
_KNOWN_IN = re.compile(r"^Offending \S+ key in (.+):\d+\s*$", re.MULTILINE)


@dataclass(frozen=True)
class Login:
    """Whom to log in as, and where.

    Attributes:
        host: What `ssh` is told: an alias of the user's configuration, a name or an address.
        user: Login name; the configuration's for None.
        port: Port; the configuration's for None.
        config: Configuration in place of `~/.ssh/config`; None for that.
    """

    host: str
    user: str | None = None
    port: int | None = None
    config: Path | None = None

    @property
    def options(self) -> list[str]:
        """What `ssh` is told besides the host."""
        return [*self._common, *(["-l", self.user] if self.user else [])]

    @property
    def _common(self) -> list[str]:
        config = ["-F", str(self.config)] if self.config else []
        return [*config, *(["-p", str(self.port)] if self.port else [])]

    def ssh(self) -> str:
        """Returns the command that logs in."""
        return shlex.join(["ssh", *self.options, self.host])

    def copy_key(self) -> str:
        """Returns the command that makes our key known there; it has no option for the user."""
        who = f"{self.user}@{self.host}" if self.user else self.host
        return shlex.join(["ssh-copy-id", *self._common, who])

    def forget_key(self, words: str) -> str:
        """Returns the command that forgets the key that the device is known by here.

        Args:
            words: What `ssh` wrote when it met another key: it names the file, and the name in it.
        """
        name, file = _KNOWN_AS.search(words), _KNOWN_IN.search(words)
        host = self.host.rpartition("@")[2]
        known_as = f"[{host}]:{self.port}" if self.port not in {None, _SSH_PORT} else host
        where = ["-f", file[1]] if file else []
        return shlex.join(["ssh-keygen", *where, "-R", name[1] if name else known_as])

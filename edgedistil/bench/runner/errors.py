"""The errors of the runner."""

from __future__ import annotations


class RunnerError(Exception):
    """A file, runtime or input that cannot be used, told in one line.

    Args:
        what: What is wrong, and where.
        cure: What the user can do about it.
    """

    def __init__(self, what: str, cure: str = "") -> None:
        self.what = " ".join(what.split())
        self.cure = " ".join(cure.split())
        super().__init__(f"{self.what}; {self.cure}" if self.cure else self.what)


class ShortError(RunnerError):
    """What the device has too little of, whatever the file."""

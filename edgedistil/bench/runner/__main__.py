"""Starts the runner: a worker, or with `inspect` a look at what is here.

`python -m edgedistil.bench.runner`, or `python runner.pyz` where it was copied as one file.
"""

from __future__ import annotations

import sys

_OLDEST = (3, 9)


def start() -> int:
    """Does what the command line says; nothing that needs numpy or a new Python is imported before it is known."""
    if sys.argv[1:2] == ["inspect"] or sys.version_info < _OLDEST:
        from .inspection import main as inspect

        return inspect(sys.argv[2:])
    from .worker import main

    return main()


if __name__ == "__main__":
    sys.exit(start())

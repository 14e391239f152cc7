"""Starts a worker: `python -m edgedistil.bench.runner`."""

from __future__ import annotations

import sys

from .worker import main

sys.exit(main())

"""Training and calibrating models for 8-bit arithmetic: ranges, SmoothQuant, fake-quantised training, other tools."""

from __future__ import annotations

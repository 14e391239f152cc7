"""Emulated Raspberry Pis: real Debian, real sshd, real aarch64 wheels, a processor played by qemu."""

from edgedistil.devices.emulated.boards import BOARDS, Board
from edgedistil.devices.emulated.device import EmulatedDevice, EmulatedProfile
from edgedistil.devices.emulated.machine import EmulatedPi, bring_up, unavailable

__all__ = ["BOARDS", "Board", "EmulatedDevice", "EmulatedPi", "EmulatedProfile", "bring_up", "unavailable"]

"""The devices a bundle can be benched on: a profile says what, a class a kind says how."""

from edgedistil.devices import local as local  # registers its kind; so does each further kind's module
from edgedistil.devices.profile import Device, DeviceProfile, connect, list_profiles, load_profile, read_profile

__all__ = ["Device", "DeviceProfile", "connect", "list_profiles", "load_profile", "read_profile"]

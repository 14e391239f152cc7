"""The devices a bundle can be benched on: a profile says what, a class a kind says how."""

from edgedistil.devices import cuda as cuda  # registers its kind; so does each further kind's module
from edgedistil.devices import emulated as emulated
from edgedistil.devices import local as local
from edgedistil.devices import ssh as ssh
from edgedistil.devices.built_in import built_in_profiles, profile_folders
from edgedistil.devices.profile import Device, DeviceProfile, connect, list_profiles, load_profile, read_profile

__all__ = [
    "Device",
    "DeviceProfile",
    "built_in_profiles",
    "connect",
    "list_profiles",
    "load_profile",
    "profile_folders",
    "read_profile",
]

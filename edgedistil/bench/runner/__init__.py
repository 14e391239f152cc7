"""What runs on the device: the standard library, numpy and one runtime, in one folder that can be copied.

Python >= 3.9. Every import inside is relative, so the folder works under any package name.
"""

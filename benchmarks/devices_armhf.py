"""A bundle's TFLite files on a 32-bit Raspberry Pi, emulated, with the one runtime that has a wheel for it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from edgedistil.bench.archive import runner_archive
from edgedistil.bench.cases import Case, cases_of
from edgedistil.bench.runner import runtimes
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bundle.read import Bundle

TEXTS = 32
CPU = "cortex-a7"
RUNTIME = "tflite-runtime==2.14.0"
_QEMU = "qemu-arm-static"
_PACKAGES = ("python3", "python3-numpy", "libstdc++6", "libblas3", "liblapack3", "libatomic1")
_LIBRARIES = "usr/local/lib/python3.11/dist-packages"
_TRIPLET = "usr/lib/arm-linux-gnueabihf"
_CPUINFO = """processor\t: {core}
model name\t: ARMv7 Processor rev 5 (v7l)
Features\t: half thumb fastmult vfp edsp neon vfpv3 tls vfpv4 idiva idivt vfpd32 lpae evtstrm
CPU implementer\t: 0x41
CPU architecture: 7
CPU variant\t: 0x0
CPU part\t: 0xc07
CPU revision\t: 5

"""
_SCRIPT = """
import json, sys
import numpy as np
sys.path.insert(0, "/probe/runner.pyz")
from runner import runtimes
from runner.runtimes import litert
litert.LiteRtModel._holds_int8 = lambda self: False  # what is refused elsewhere is to be seen here
model = runtimes.create("litert", sys.argv[1], 1)
rows = [np.array([row]) for row in json.load(sys.stdin)]
print(json.dumps({"version": model.version, "numpy": np.__version__, "python": sys.version.split()[0],
                  "logits": [model.run(row, np.ones_like(row))[0].tolist() for row in rows]}))
"""


def answer_in_32_bits(bundle: Bundle) -> dict[str, Any]:
    """Returns each TFLite file's largest difference of a logit from this machine's LiteRT, and the labels that agree.

    The file system lies in memory: a 32-bit program under qemu cannot list folders of a file system with 64-bit
    positions, and is run in a chroot, for qemu's `-L` does not lead every system call there.
    """
    tokens = EvaluationSet.load(str(bundle.evaluation_path))
    rows = [tokens.tokens(index).tolist() for index in range(TEXTS)]
    cases = cases_of(bundle, 1, bundle.manifest.max_length, ["tflite-fp32", "tflite-int8"])
    with tempfile.TemporaryDirectory(prefix="edgedistil-armhf-", dir="/dev/shm") as folder:
        root = Path(folder) / "root"
        _make(root)
        files = {case.format: _compare(_there(root, case, rows), case, rows) for case in cases}
    return {"cpu": CPU, "texts": TEXTS, "files": files}


def _make(root: Path) -> None:
    """Unpacks Debian's armhf packages, adds the runtime's wheel, and what a processor says of itself."""
    packages = f"--include={','.join(_PACKAGES)}"
    mirror = ["bookworm", str(root), "http://deb.debian.org/debian"]
    subprocess.run(["mmdebstrap", "--quiet", "--variant=extract", "--arch=armhf", packages, *mirror], check=True)
    fetch = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--only-binary=:all:"]
    wheel = ["--python-version=3.11", "--implementation=cp", "--platform=manylinux_2_34_armv7l"]
    subprocess.run([*fetch, *wheel, f"--target={root / _LIBRARIES}", RUNTIME], check=True)
    # Debian chooses between its libraries when it installs, which unpacking does not do.
    for name in ("blas", "lapack"):
        (root / _TRIPLET / f"lib{name}.so.3").symlink_to(f"{name}/lib{name}.so.3")
    for name in ("proc", "probe"):
        (root / name).mkdir(exist_ok=True)
    (root / "proc/cpuinfo").write_text("".join(_CPUINFO.format(core=core) for core in range(4)), encoding="ascii")
    shutil.copy(shutil.which(_QEMU) or _QEMU, root / _QEMU)
    (root / "probe/runner.pyz").write_bytes(runner_archive())


def _there(root: Path, case: Case, rows: list[list[int]]) -> dict[str, Any]:
    shutil.copy(case.path, root / "probe/model.tflite")
    # It is seldom on a user's PATH.
    chroot = shutil.which("chroot", path=f"{os.defpath}:/usr/sbin:/sbin") or "chroot"
    qemu = [chroot, str(root), f"/{_QEMU}", "-0", "/usr/bin/python3", "/usr/bin/python3.11"]
    done = subprocess.run(
        [*qemu, "-B", "-s", "-P", "-c", _SCRIPT, "/probe/model.tflite"],
        input=json.dumps(rows),
        env={"PATH": os.defpath, "QEMU_CPU": CPU, "PYTHONHASHSEED": "0"},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _compare(there: dict[str, Any], case: Case, rows: list[list[int]]) -> dict[str, Any]:
    model = runtimes.create(case.runtime, str(case.path), 1)
    here = np.stack([model.run(np.array([row]), np.ones((1, len(row)), np.int64))[0] for row in rows])
    logits = np.array(there.pop("logits"), dtype=np.float32)
    return {
        **there,
        "largest": float(np.abs(logits - here).max()),
        "same_label": int((logits.argmax(axis=-1) == here.argmax(axis=-1)).sum()),
        "different_answers": len(np.unique(logits, axis=0)),
    }

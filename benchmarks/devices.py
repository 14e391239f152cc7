"""What is promised of devices, shown on a real bundle: `python benchmarks/devices.py BUNDLE PROOF [PROOF ...]`.

Each proof writes benchmarks/results/devices/PROOF.json. `counts`, `answers` and `armhf` emulate a Raspberry Pi, which
needs root and the packages named in devices/emulated-pi4.yaml; `drops` needs an sshd; `overhead` wants a machine left
alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

from devices_answers import compare_answers
from devices_armhf import answer_in_32_bits
from devices_drops import drop_links
from devices_overhead import compare_loops
from provenance import provenance, write_record

from edgedistil.bench.archive import runner_archive
from edgedistil.bench.cases import cases_of
from edgedistil.bench.instructions import Emulator, count_case
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bundle.read import Bundle, open_bundle
from edgedistil.devices.emulated import BOARDS
from edgedistil.devices.emulated.root import cache_folder, prepare_root
from edgedistil.progress import TerminalProgress

RESULTS = Path(__file__).resolve().parent / "results" / "devices"
LENGTH = 64
_REPEATED = ("onnx-int8", "tflite-int8")
_TIMES = 3


def count_instructions(bundle: Bundle) -> dict[str, Any]:
    """Counts the int8 files three times on Cortex-A76, and TFLite in fp32 and int8 on Cortex-A72 and A76."""
    repeats = {name: [_count(bundle, name, "cortex-a76") for _ in range(_TIMES)] for name in _REPEATED}
    largest = max(_spread([count[kind] for count in counts]) for counts in repeats.values() for kind in counts[0])
    boards: dict[str, Any] = {}
    for cpu in ("cortex-a72", "cortex-a76"):
        again = cpu == "cortex-a76"
        int8 = repeats["tflite-int8"][0] if again else _count(bundle, "tflite-int8", cpu)
        fp32 = _count(bundle, "tflite-fp32", cpu)
        boards[cpu] = {"tflite-fp32": fp32, "tflite-int8": int8, "fp32_over_int8": fp32["total"] / int8["total"]}
    return {"tokens": LENGTH, "repeats": repeats, "largest_relative_difference": largest, "boards": boards}


def _count(bundle: Bundle, format_name: str, cpu: str) -> dict[str, int]:
    (case,) = cases_of(bundle, 1, LENGTH, [format_name])
    emulator = Emulator(prepare_root(progress=TerminalProgress()), cpu, BOARDS[cpu].cpuinfo)
    row = EvaluationSet.load(str(bundle.evaluation_path)).packed(LENGTH, 1, 0)[0]
    found = count_case(case, row.tolist(), emulator, cache_folder())
    print(f"{format_name} on {cpu}: {found.instructions}")
    return found.instructions


def _spread(counts: list[int]) -> float:
    return (max(counts) - min(counts)) / max(1, min(counts))


def weigh_runner(bundle: Bundle) -> dict[str, Any]:
    """Returns the size of the one file that a device is sent beside the model."""
    del bundle
    return {"bytes": len(runner_archive()), "kilobytes": len(runner_archive()) / 1000}


PROOFS: dict[str, Callable[[Bundle], dict[str, Any]]] = {
    "runner": weigh_runner,
    "counts": count_instructions,
    "answers": compare_answers,
    "armhf": answer_in_32_bits,
    "drops": drop_links,
    "overhead": compare_loops,
}


def write(name: str, bundle: Bundle, values: dict[str, Any]) -> Path:
    """Writes what a proof has shown, and how it was made; returns the file."""
    record = {
        "command": f"python benchmarks/devices.py runs/{bundle.manifest.name}/bundle {name}",
        **provenance(),
        **values,
    }
    return write_record(RESULTS / f"{name}.json", record)


def main() -> None:
    """Makes the proofs asked for, one after the other, and writes each when it is made."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bundle", type=Path)
    parser.add_argument("proofs", nargs="+", choices=list(PROOFS))
    arguments = parser.parse_args()
    bundle = open_bundle(arguments.bundle)
    for name in arguments.proofs:
        print(write(name, bundle, PROOFS[name](bundle)))


if __name__ == "__main__":
    main()

"""An emulated Raspberry Pi 4 and 5: a bundle pushed through ssh, scored, counted, compared with this machine, gated."""

from __future__ import annotations

import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest
from command import ROOT, typed
from emulated import CACHE, needs_emulation, processes, traces

from edgedistil.bench.cases import Case, cases_of
from edgedistil.bench.instructions import Emulator, count_case
from edgedistil.bench.measurement import Measurement, find, write_measurements
from edgedistil.bench.runner import runtimes
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.bench.scores import Examples
from edgedistil.bundle import Bundle, open_bundle
from edgedistil.devices import connect, load_profile
from edgedistil.devices.emulated import BOARDS, EmulatedPi, bring_up
from edgedistil.devices.emulated.root import prepare_root

# One precision of each runtime a board, so that each board and each format is seen once.
BOARDS_TESTED = {"emulated-pi4": ("onnx-fp32", "tflite-int8"), "emulated-pi5": ("onnx-int8", "tflite-fp32")}

# Largest difference of a logit, ARM against x86. Measured: at most 1.5e-8 in every format; with a student of 14.9
# million parameters 1.4e-6 in fp32 and 9e-8 in int8. But int8 is rounded from floats that differ in their last bit, so
# that an activation may fall on the other side of a step, which is worth a thousandth.
TOLERANCES = {"onnx-fp32": 2e-6, "tflite-fp32": 2e-6, "onnx-int8": 1e-3, "tflite-int8": 1e-3}

LENGTH = 16


@dataclass(frozen=True)
class Visit:
    """What one emulated board measured."""

    profile: str
    bundle: Bundle
    cases: list[Case]
    measurements: list[Measurement]


@pytest.fixture(scope="module", params=BOARDS_TESTED)
def visit(request, tiny_run) -> Visit:
    needs_emulation()
    bundle = open_bundle(tiny_run.bundle)
    cases = cases_of(bundle, threads=1, sequence_length=LENGTH, formats=BOARDS_TESTED[request.param])
    before = traces()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEDISTIL_CACHE", str(CACHE))
        device = connect(load_profile(request.param, [ROOT / "devices"]))
        result = device.bench(cases, Examples.of(bundle))
    assert result.failures == {}
    assert traces() == before
    return Visit(request.param, bundle, cases, result.measurements)


def test_records_say_emulated_and_hold_no_times(visit: Visit):
    assert [made.format for made in visit.measurements] == list(BOARDS_TESTED[visit.profile])
    for made in visit.measurements:
        assert made.emulated
        assert (made.samples_ms, made.p50_ms, made.load_ms, made.first_ms, made.peak_memory_mb) == ([], *[None] * 4)
        assert made.device.machine == "aarch64"
        assert made.device.cpu == {"emulated-pi4": "Cortex-A72", "emulated-pi5": "Cortex-A76"}[visit.profile]
        assert "(emulated)" in (made.device.board or "")


def test_dot_products_are_counted_where_the_processor_has_them(visit: Visit):
    for made in visit.measurements:
        counted = dict(made.instructions or {})
        total = counted.pop("total")
        assert total == sum(counted.values()) > 0
        has = visit.profile == "emulated-pi5" and made.format.endswith("int8")
        assert (counted["dot_product"] > 0) == has
        assert counted["multiply_accumulate"] > 0


def test_outputs_are_those_of_this_machine_and_counts_the_same_again(visit: Visit):
    cpu = BOARDS[connect(load_profile(visit.profile, [ROOT / "devices"])).profile.cpu]
    emulator = Emulator(prepare_root(CACHE / "emulated"), cpu.cpu, cpu.cpuinfo)
    tokens = EvaluationSet.load(visit.bundle.evaluation_path)
    row = tokens.packed(LENGTH, 1, 0)
    for case in visit.cases:
        again = count_case(case, row[0], emulator, CACHE / "emulated")
        made = find(visit.measurements, case.name)
        assert again.instructions == made.instructions
        here = runtimes.create(case.runtime, str(case.path), 1, LENGTH).run(row, row * 0 + 1)
        difference = abs(here - again.logits).max()
        assert difference <= TOLERANCES[case.format], (case.format, difference)


def test_the_gate_holds_counts_to_half_a_percent(visit: Visit, tmp_path: Path):
    write_measurements(tmp_path / "found.jsonl", visit.measurements)
    bundle = str(visit.bundle.folder)
    done = typed(["baseline", "set", bundle, "--measurements", "found.jsonl", "-o", "base.json"], tmp_path)
    assert done.returncode == 0, done.stderr
    judge = ["gate", bundle, "--baseline", "base.json", "--margin", "0.03", "--measurements"]
    done = typed([*judge, "found.jsonl"], tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1.0000 times" in done.stdout

    more = {kind: round(1.006 * count) for kind, count in visit.measurements[0].instructions.items()}
    slower = [visit.measurements[0].model_copy(update={"instructions": more}), *visit.measurements[1:]]
    write_measurements(tmp_path / "slower.jsonl", slower)
    done = typed([*judge, "slower.jsonl"], tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr


def leave_something(pi: EmulatedPi, seconds: str) -> None:
    ssh = ["ssh", "-F", str(pi.ssh_config), pi.alias]
    script = f"uname -m; echo $QEMU_CPU; touch kept; nohup sleep {seconds} >/dev/null 2>&1 &"
    said = subprocess.run([*ssh, script], capture_output=True, text=True, check=True).stdout.split()
    assert said == ["aarch64", "cortex-a76"]
    assert processes(seconds)
    assert not (pi.root / "home/pi/kept").exists()
    raise KeyError


def test_a_device_goes_down_with_all_its_processes_when_its_user_fails():
    needs_emulation()
    before, seconds = traces(), f"1000{os.getpid()}"
    with pytest.raises(KeyError), bring_up("cortex-a76", CACHE / "emulated") as pi:
        leave_something(pi, seconds)
    assert processes(seconds) == []
    assert traces() == before
    assert not pi.ssh_config.parent.exists()

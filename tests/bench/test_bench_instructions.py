"""Counting instructions: what is of which kind, and what is said where it cannot be done.

That counts are the same in every run is tested where there is an emulated device: `e2e/test_e2e_emulated.py`.
"""

from __future__ import annotations

import ctypes
import shutil
import subprocess
from pathlib import Path

import pytest
from bench_files import case_of

from edgedistil.bench.instructions import KINDS, Emulator, count_case, plugin
from edgedistil.errors import EdgeDistilError

# What qemu provides; nothing here calls it.
STUBS = """
void qemu_plugin_register_vcpu_tb_trans_cb(plugin_id a, translated_callback b) { (void)a, (void)b; }
void qemu_plugin_register_vcpu_tb_exec_inline(struct qemu_plugin_tb *a, enum operation b, void *c, uint64_t d)
{ (void)a, (void)b, (void)c, (void)d; }
void qemu_plugin_register_vcpu_syscall_cb(plugin_id a, syscall_callback b) { (void)a, (void)b; }
size_t qemu_plugin_tb_n_insns(const struct qemu_plugin_tb *a) { (void)a; return 0; }
struct qemu_plugin_insn *qemu_plugin_tb_get_insn(const struct qemu_plugin_tb *a, size_t b)
{ (void)a, (void)b; return 0; }
const void *qemu_plugin_insn_data(const struct qemu_plugin_insn *a) { (void)a; return 0; }
"""

# Words and what Capstone disassembles them to; on 900,000 random words it agreed in every instruction but those of SVE,
# SME and the memory copies, which no processor emulated here has.
WORDS = {
    "multiply_accumulate": {
        0x1F197477: "fmadd s23, s3, s25, s29",
        0x1F24DF03: "fnmsub s3, s24, s4, s23",
        0x0E580FFE: "fmla v30.4h, v31.4h, v24.4h",
        0x4E22CC20: "fmla v0.4s, v1.4s, v2.4s",
        0x4FB753B8: "fmls v24.4s, v29.4s, v23.s[1]",
        0x2FB40B88: "mla v8.2s, v28.2s, v20.s[3]",
        0x0E668390: "smlal v16.4s, v28.4h, v6.4h",
        0x6F79287B: "umlal2 v27.4s, v3.8h, v9.h[7]",
        0x5FAD7B9F: "sqdmlsl d31, s28, v13.s[3]",
        0x6E9487C1: "sqrdmlah v1.4s, v30.4s, v20.4s",
        0x7E598C0A: "sqrdmlsh h10, h0, h25",
        0x4F830393: "fmlal v19.4s, v28.4h, v3.h[0]",
        0x6F8B8897: "fmlal2 v23.4s, v4.4h, v11.h[4]",
        0x4FDEF00E: "bfmlalt v14.4s, v0.8h, v14.h[1]",
    },
    "dot_product": {
        0x0E879696: "sdot v22.2s, v20.8b, v7.8b",
        0x6F8DE0EF: "udot v15.4s, v7.16b, v13.4b[0]",
        0x4F06FAEA: "sudot v10.4s, v23.16b, v6.4b[2]",
        0x0F93FB05: "usdot v5.2s, v24.8b, v19.4b[2]",
        0x4E9AA59F: "smmla v31.4s, v12.16b, v26.16b",
        0x4E9CACB2: "usmmla v18.4s, v5.16b, v28.16b",
        0x6E57ED15: "bfmmla v21.4s, v8.8h, v23.8h",
    },
    "load_store": {
        0xF9400020: "ldr x0, [x1]",
        0xA9BF7BFD: "stp x29, x30, [sp, #-16]!",
        0x4CDF7000: "ld1 {v0.16b}, [x0], #16",
        0x0D40C000: "ld1r {v0.8b}, [x0]",
        0xC85FFC20: "ldaxr x0, [x1]",
    },
    "other": {
        0x8B020020: "add x0, x1, x2",
        0x9B020C20: "madd x0, x1, x2, x3: address arithmetic",
        0x4E22D420: "fadd v0.4s, v1.4s, v2.4s",
        0x6E22DC20: "fmul v0.4s, v1.4s, v2.4s",
        0x0E22C020: "smull v0.8h, v1.8b, v2.8b",
        0x6E22E420: "fcmge v0.4s, v1.4s, v2.4s",
        0x4F000400: "movi v0.4s, #0",
        0xD65F03C0: "ret",
        0xD4000001: "svc #0",
    },
}


@pytest.fixture(scope="module")
def classify(tmp_path_factory: pytest.TempPathFactory):
    if shutil.which("gcc") is None:
        pytest.skip("no gcc on this machine: apt-get install gcc libc6-dev")
    folder = tmp_path_factory.mktemp("plugin")
    source = Path(plugin.__file__).with_name("count.c")
    (folder / "stubbed.c").write_text(f'#include "{source}"\n{STUBS}')
    flags = ["-std=gnu11", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-fvisibility=hidden"]
    subprocess.run(["gcc", *flags, "-o", folder / "stubbed.so", folder / "stubbed.c"], check=True)
    found = ctypes.CDLL(str(folder / "stubbed.so")).classify
    found.argtypes = [ctypes.c_uint32]
    return lambda word: KINDS[found(word)]


@pytest.mark.parametrize("kind", WORDS)
def test_an_instruction_is_of_its_kind(classify, kind: str):
    found = {text: classify(word) for word, text in WORDS[kind].items()}
    assert found == dict.fromkeys(WORDS[kind].values(), kind)


def test_the_libraries_compile_once(tmp_path: Path):
    if shutil.which("gcc") is None:
        pytest.skip("no gcc on this machine: apt-get install gcc libc6-dev")
    first = plugin.build_libraries(tmp_path)
    times = [library.stat().st_mtime_ns for library in first]
    assert plugin.build_libraries(tmp_path) == first
    assert [library.stat().st_mtime_ns for library in first] == times
    assert sorted(tmp_path.iterdir()) == sorted(first)


def test_what_is_not_installed_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    reason = plugin.missing()
    assert reason == (
        "counting instructions needs more packages; run: apt-get install qemu-user gcc libc6-dev util-linux"
    )
    with pytest.raises(EdgeDistilError, match="apt-get install qemu-user") as raised:
        count_case(case_of(tmp_path / "model.onnx"), [1, 2], Emulator(tmp_path, "cortex-a76", ""), tmp_path)
    assert "\n" not in raised.value.line()


@pytest.mark.parametrize("version", ["qemu-aarch64 version 10.0.2 (Debian)", "nonsense"])
def test_a_qemu_of_another_plugin_interface_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, version: str):
    for name in ("qemu-aarch64", "gcc", "setarch"):
        (tmp_path / name).write_text(f"#!/bin/sh\necho '{version}'\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "needs qemu-user 7 or 8" in (plugin.missing() or "")

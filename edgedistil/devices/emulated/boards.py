"""The Raspberry Pis that can be emulated: the processor qemu plays, and what its kernel would say of it."""

from __future__ import annotations

from dataclasses import dataclass

from edgedistil.errors import UsageError, did_you_mean

CORES = 4
_BASIC = "fp asimd evtstrm aes pmull sha1 sha2 crc32"


@dataclass(frozen=True)
class Board:
    """One kind of Raspberry Pi.

    Attributes:
        cpu: The processor, by qemu's name for it (`QEMU_CPU`). It must always be given: qemu's own choice, `max`, has
            SME, which qemu 7.2 gets wrong.
        name: The board's name.
        part: MIDR part number, from the core's technical reference manual.
        variant: MIDR variant of the revision that qemu plays.
        revision: MIDR revision, as `variant`.
        features: What the processor can do, in Linux's words and order. A runtime chooses its kernels by them, so they
            must be what qemu plays, neither more nor less.
    """

    cpu: str
    name: str
    part: str
    variant: int
    revision: int
    features: str

    @property
    def cpuinfo(self) -> str:
        """The text of `/proc/cpuinfo`.

        qemu's user mode shows the host's, in which the runtimes find no Arm processor at all: onnxruntime then crashes
        when it is imported, or chooses a kernel that this processor cannot run and dies of an illegal instruction.
        """
        lines = (
            "BogoMIPS\t: 108.00",
            f"Features\t: {self.features}",
            "CPU implementer\t: 0x41",
            "CPU architecture: 8",
            f"CPU variant\t: {self.variant:#x}",
            f"CPU part\t: {self.part}",
            f"CPU revision\t: {self.revision}",
        )
        return "".join("\n".join((f"processor\t: {core}", *lines, "", "")) for core in range(CORES))


BOARDS: dict[str, Board] = {
    board.cpu: board
    for board in (
        Board("cortex-a53", "Raspberry Pi Zero 2 W", "0xd03", 0, 4, f"{_BASIC} cpuid"),
        Board("cortex-a72", "Raspberry Pi 4", "0xd08", 0, 3, f"{_BASIC} cpuid"),
        Board(
            "cortex-a76",
            "Raspberry Pi 5",
            "0xd0b",
            4,
            1,
            f"{_BASIC} atomics fphp asimdhp cpuid asimdrdm lrcpc dcpop asimddp",
        ),
    )
}
"""The boards by processor."""


def board_of(cpu: str) -> Board:
    """Returns the board with a processor.

    Raises:
        UsageError: When none of them has it.
    """
    if cpu not in BOARDS:
        raise UsageError(f"no emulated board has a processor '{cpu}'", cure=did_you_mean(cpu, BOARDS))
    return BOARDS[cpu]

"""What is promised of int8 files."""

from __future__ import annotations

from figures import Promise, value
from int8_shipped import largest_share, worst_loss
from int8_speed_table import PROCESSORS

from edgedistil.bundle.formats import RUNTIME_TITLES


def shipped(name: str, title: str, student: str = "the pruned student") -> Promise:
    """Returns what is promised of a student's 8-bit files, one a runtime, chosen by dev."""
    claim = f"{title}, {student}, what ships in 8 bits below fp32, test split, the worst of three runtimes"
    return Promise(f"int8.{name}", claim, "<= 0.4", "points", "int8", f"{name}.json", worst_loss(f"{name}.json"))


def fast(runtime: str, processor: str, against: str, bar: str) -> Promise:
    """Returns what is promised of our fastest 8-bit file of 6 x 768 in a runtime.

    Args:
        runtime: Its name.
        processor: The kind in the name of the result.
        against: What it is held against: "speed" is fp32 in ONNX Runtime.
        bar: As of `Promise`.
    """
    title, file = RUNTIME_TITLES[runtime], f"speed-{processor}.json"
    title += ", with its bf16 hint or without," if f"{runtime}-bf16" in RUNTIME_TITLES else ""
    beside, key, unit = {
        "speed": ("fp32 in ONNX Runtime", "ours", "times faster"),
        "peers": ("the fastest that a peer makes of our fp32 file", "ours_against_peers", "times as fast"),
        "by-hand": (
            "the fastest that peers' own exporters and quantisers make",
            "ours_against_by_hand",
            "times as fast",
        ),
    }[against]
    claim = f"6 x 768, 128 tokens, {PROCESSORS[processor]}, our fastest 8-bit file in {title} against {beside}"
    return Promise(f"int8.{against}-{runtime}", claim, bar, unit, "int8", file, value(file, "best", runtime, key))


INT8 = [
    shipped("sst2", "SST-2"),
    shipped("sst2-dense", "SST-2", "the student before pruning"),
    shipped("emotion", "Emotion"),
    shipped("emotion-dense", "Emotion", "the student before pruning"),
    shipped("toxic-spans", "Toxic spans"),
    shipped("toxic-spans-dense", "Toxic spans", "the student before pruning"),
    Promise(
        "int8.size",
        "SST-2, the largest of our files wholly in 8 bits, of the fp32 one of its kind",
        "<= 27.0",
        "%",
        "int8",
        "sst2.json",
        largest_share("sst2.json"),
    ),
    *(
        promise
        for runtime, bar in (("openvino", 7.0), ("litert", 5.0), ("onnxruntime", 3.3))
        for promise in (
            fast(runtime, "amx", "speed", f">= {bar}"),
            fast(runtime, "amx", "peers", ">= 1.0"),
            fast(runtime, "vnni", "by-hand", ">= 1.0"),
        )
    ),
]

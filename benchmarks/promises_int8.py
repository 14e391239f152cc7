"""What is promised of int8 files."""

from __future__ import annotations

from figures import Promise, value
from int8_shipped import largest_share, worst_loss


def shipped(name: str, title: str, student: str = "the pruned student") -> Promise:
    """Returns what is promised of a student's 8-bit files, one a runtime, chosen by dev."""
    claim = f"{title}, {student}, what ships in 8 bits below fp32, test split, the worst of three runtimes"
    return Promise(f"int8.{name}", claim, "<= 0.4", "points", "int8", f"{name}.json", worst_loss(f"{name}.json"))


INT8 = [
    shipped("sst2", "SST-2"),
    shipped("sst2-dense", "SST-2", "the student before pruning"),
    shipped("emotion", "Emotion"),
    shipped("emotion-dense", "Emotion", "the student before pruning"),
    shipped("toxic-spans", "Toxic spans"),
    shipped("toxic-spans-dense", "Toxic spans", "the student before pruning"),
    Promise(
        "int8.size",
        "SST-2, the largest of our 8-bit files, of the fp32 one of its kind",
        "<= 27.0",
        "%",
        "int8",
        "sst2.json",
        largest_share("sst2.json"),
    ),
    Promise(
        "int8.speed-openvino",
        "6 x 768, 128 tokens, our fastest 8-bit file in OpenVINO against fp32 in ONNX Runtime",
        ">= 7.0",
        "times faster",
        "int8",
        "speed.json",
        value("speed.json", "best", "openvino", "ours"),
    ),
    Promise(
        "int8.peers-openvino",
        "The same file against the fastest 8-bit one that a peer makes, in OpenVINO",
        ">= 1.0",
        "times as fast",
        "int8",
        "speed.json",
        value("speed.json", "best", "openvino", "ours_against_peers"),
    ),
    Promise(
        "int8.speed-litert",
        "6 x 768, 128 tokens, our fastest 8-bit file in LiteRT against fp32 in ONNX Runtime",
        ">= 5.0",
        "times faster",
        "int8",
        "speed.json",
        value("speed.json", "best", "litert", "ours"),
    ),
    Promise(
        "int8.peers-litert",
        "The same file against the fastest 8-bit one that a peer makes, in LiteRT",
        ">= 1.0",
        "times as fast",
        "int8",
        "speed.json",
        value("speed.json", "best", "litert", "ours_against_peers"),
    ),
    Promise(
        "int8.speed-onnxruntime",
        "6 x 768, 128 tokens, our fastest 8-bit file in ONNX Runtime against fp32 in ONNX Runtime",
        ">= 3.3",
        "times faster",
        "int8",
        "speed.json",
        value("speed.json", "best", "onnxruntime", "ours"),
    ),
    Promise(
        "int8.peers-onnxruntime",
        "The same file against the fastest 8-bit one that a peer makes, in ONNX Runtime",
        ">= 1.0",
        "times as fast",
        "int8",
        "speed.json",
        value("speed.json", "best", "onnxruntime", "ours_against_peers"),
    ),
]

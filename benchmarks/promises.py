"""The promises: what is claimed, and the bar it is held to."""

from __future__ import annotations

from figures import Promise, minutes, size_share, speed, test_loss, test_loss_from

PROMISES = [
    Promise(
        "chain.quickstart-time",
        "The quickstart, from a BERT wheel to a measured bundle, on 2 cores",
        "<= 10.0",
        "min",
        "quickstart",
        "run.json",
        minutes,
    ),
    Promise(
        "chain.quickstart-speed-tflite",
        "The quickstart's TFLite int8 file against its teacher in ONNX Runtime fp32",
        ">= 8.0",
        "times faster",
        "quickstart",
        "measurements.jsonl",
        speed("pruned, TFLite int8"),
    ),
    Promise(
        "chain.quickstart-speed-onnx",
        "The quickstart's ONNX int8 file against its teacher in ONNX Runtime fp32",
        ">= 5.0",
        "times faster",
        "quickstart",
        "measurements.jsonl",
        speed("pruned, ONNX int8"),
    ),
    Promise(
        "chain.quickstart-accuracy",
        "The quickstart's TFLite int8 file below its teacher, test split",
        "<= 2.5",
        "points",
        "quickstart",
        "run.json",
        test_loss("pruned, TFLite int8"),
    ),
    Promise(
        "chain.sst2-accuracy",
        "SST-2, 12 layers to 6 with half of their blocks removed, int8 TFLite, below the teacher, test split",
        "<= 2.0",
        "points",
        "sst2",
        "run.json",
        test_loss("pruned, TFLite int8"),
    ),
    Promise(
        "chain.sst2-speed",
        "The same file against its 12-layer teacher in ONNX Runtime fp32",
        ">= 8.0",
        "times faster",
        "sst2",
        "measurements.jsonl",
        speed("pruned, TFLite int8"),
    ),
    Promise(
        "int8.sst2-onnx-loss",
        "SST-2, ONNX int8 below the same model in fp32, test split",
        "<= 0.4",
        "points",
        "sst2",
        "run.json",
        test_loss_from("pruned, ONNX int8", "pruned, ONNX fp32"),
    ),
    Promise(
        "int8.sst2-tflite-loss",
        "SST-2, TFLite int8 below the same model in fp32, test split",
        "<= 0.4",
        "points",
        "sst2",
        "run.json",
        test_loss_from("pruned, TFLite int8", "pruned, TFLite fp32"),
    ),
    Promise(
        "int8.sst2-size",
        "SST-2, ONNX int8 file's share of the fp32 one",
        "<= 27.0",
        "%",
        "sst2",
        "measurements.jsonl",
        size_share("pruned, ONNX int8", "pruned, ONNX fp32"),
    ),
]

"""What is promised of int8 files."""

from __future__ import annotations

from figures import Promise, size_share, test_loss_from, value

INT8 = [
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

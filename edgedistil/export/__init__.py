"""From a model to files that runtimes open: ONNX, TFLite, their int8 forms, each checked (host world)."""

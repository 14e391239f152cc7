"""Intel Neural Compressor's PyTorch quantisation as a backend: its static calibration, and its `autotune`.

Its scales are taken out of the graph that it makes, as `Ranges` by the names of our modules, and so reach ONNX and
TFLite as ours do. With neural-compressor-pt 3.10 and torch 2.13, on a CPU:

- Static quantisation (`StaticQuantConfig`, PT2E) works on a model that `neural_compressor.torch.export.export` has
  taken; on a plain module it fails (`'...' object has no attribute 'dynamic_shapes'`).
- Its SmoothQuant does not run: `quantize(model, SmoothQuantConfig(), run_fn=..., example_inputs=...)` ends in
  `No module named 'intel_extension_for_pytorch'`, which its module imports. Here a
  model is smoothed by `edgedistil.quantise.smooth` first: what Neural Compressor gets is a model with multiplications.
- What it makes, a graph of `quantized_decomposed` operations, is for torch.compile alone; it writes neither ONNX nor
  TFLite, and has no quantisation of either any more.
- Its scale of a weight is the greatest absolute value by 127.5, that of both files' writers by 127, so that weights are
  rounded on a grid that is 0.4 % wider than the one it tuned.

`python -m edgedistil.quantise.neural_compressor` shows the second point on a model of one layer.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.distil.judge import Judge
from edgedistil.errors import EdgeDistilError, require
from edgedistil.models import EdgeBertConfig, EdgeBertForSequenceClassification
from edgedistil.models.modelling import EdgeBertHeadModel, EdgeBertOutput
from edgedistil.quantise.batches import unpadded_batches
from edgedistil.quantise.ranges import Range, Ranges
from edgedistil.quantise.scaling import ScaledLinear, plain_linear
from edgedistil.quiet import silence

ALGORITHMS = ("minmax", "kl")
"""Its observers of activations: a moving average of the ends, and a histogram's least divergence."""


@dataclass(frozen=True)
class Tuned:
    """What Neural Compressor found.

    Attributes:
        ranges: Of the inputs that it quantised.
        weight_scales: By the name of a linear layer, its scale a row, [out].
        tried: A record a configuration that `autotune` judged: `algorithm`, `score`.
        baseline: The fp32 model's score, where a judge was given.
    """

    ranges: Ranges
    weight_scales: dict[str, Tensor]
    tried: list[dict[str, Any]] = field(default_factory=list)
    baseline: float | None = None


def calibrate_static(
    model: EdgeBertHeadModel, rows: EvaluationSet, *, algorithm: str = "minmax", skip: Sequence[str] = ()
) -> Tuned:
    """Quantises a model with one configuration.

    Args:
        model: In fp32, smoothed or not; left as it is.
        rows: Training rows of the task.
        algorithm: One of `ALGORITHMS`.
        skip: Names of linear layers that stay in floating point.

    Raises:
        UsageError: When Neural Compressor is not installed.
        EdgeDistilError: When it fails.
    """
    with _running():
        from neural_compressor.torch.quantization import quantize

        made = quantize(_exported(model, rows), _config(algorithm, skip), run_fn=lambda one: _run(one, rows))
        return Tuned(*_found(made))


def autotune(
    model: EdgeBertHeadModel, rows: EvaluationSet, judge: Judge, *, max_drop: float, skip: Sequence[str] = ()
) -> Tuned:
    """Has Neural Compressor try its configurations in turn until one is accurate enough; else its best is taken.

    Args:
        model: In fp32, smoothed or not; left as it is.
        rows: Training rows of the task, to calibrate with.
        judge: Scores a model, on rows that nothing is calibrated with.
        max_drop: Score that may be lost, 0.01 being one point.
        skip: Names of linear layers that stay in floating point.

    Raises:
        UsageError: When Neural Compressor is not installed.
        EdgeDistilError: When it fails.
    """
    scores: list[float] = []

    def score(made: nn.Module) -> float:
        scores.append(judge(_Answering(made, model), bf16=False).score)  # type: ignore[arg-type]
        # It takes what may be lost as a share of the first score, the fp32 model's: of one it is points.
        return 1.0 + scores[-1] - scores[0]

    with _running():
        from neural_compressor.torch import quantization

        made = quantization.autotune(
            _exported(model, rows),
            quantization.TuningConfig(
                [_config(one, skip) for one in ALGORITHMS], tolerable_loss=max_drop, max_trials=len(ALGORITHMS)
            ),
            eval_fn=score,
            run_fn=lambda one: _run(one, rows),
        )
        ranges, scales = _found(made)
    tried = [{"algorithm": one, "score": value} for one, value in zip(ALGORITHMS, scores[1:], strict=False)]
    return Tuned(ranges, scales, tried, scores[0])


@contextlib.contextmanager
def _running() -> Iterator[None]:
    """Keeps Neural Compressor quiet and out of the current folder, where it would leave `nc_workspace`."""
    require("neural_compressor", "nc")
    here = Path.cwd()
    with tempfile.TemporaryDirectory() as scratch, silence():
        os.chdir(scratch)
        disabled = logging.root.manager.disable
        logging.disable(logging.CRITICAL)
        try:
            yield
        except Exception as error:
            raise EdgeDistilError(
                f"Neural Compressor cannot quantise the model ({type(error).__name__}: {error})",
                cure="set quantise.backend: own",
            ) from error
        finally:
            logging.disable(disabled)
            os.chdir(here)


class _Multiplied(nn.Module):
    """A `ScaledLinear` in two modules: a linear layer of a class of its own is not recognised, and left in fp32."""

    def __init__(self, linear: ScaledLinear) -> None:
        super().__init__()
        self.register_buffer("factors", linear.factors)
        self.linear = plain_linear(linear)

    def forward(self, hidden: Tensor) -> Tensor:
        found: Tensor = self.linear(hidden * self.factors)
        return found


class _Logits(nn.Module):
    def __init__(self, model: EdgeBertHeadModel) -> None:
        super().__init__()
        self.model = copy.deepcopy(model).eval()
        for name, module in list(self.model.named_modules()):
            if isinstance(module, ScaledLinear):
                self.model.set_submodule(name, _Multiplied(module))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        logits: Tensor = self.model(input_ids=input_ids, attention_mask=attention_mask).logits
        return logits


class _Answering(nn.Module):
    """An exported graph in a model's place: it has no training mode, and must not be asked for one."""

    def __init__(self, graph: nn.Module, model: EdgeBertHeadModel) -> None:
        super().__init__()
        self.graph = [graph]
        self.config = model.config
        self.place = nn.Parameter(torch.zeros(()))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> EdgeBertOutput:
        return EdgeBertOutput(logits=self.graph[0](input_ids, attention_mask))


def _exported(model: EdgeBertHeadModel, rows: EvaluationSet) -> Any:
    from neural_compressor.torch.export import export

    batch, length = torch.export.Dim("batch"), torch.export.Dim("length", max=model.config.max_position_embeddings)
    example = rows.batch([0, min(1, len(rows) - 1)], int(rows.lengths[:2].max()))
    shapes = ({0: batch, 1: length},) * 2
    return export(_Logits(model), tuple(torch.from_numpy(one) for one in example), dynamic_shapes=shapes)


def _config(algorithm: str, skip: Sequence[str]) -> Any:
    from neural_compressor.torch.quantization import StaticQuantConfig

    made = StaticQuantConfig(act_algo=algorithm)
    for name in skip:
        for module in (f"model.{name}", f"model.{name}.linear"):
            made.set_local(module, StaticQuantConfig(w_dtype="fp32", act_dtype="fp32"))
    return made


def _run(made: nn.Module, rows: EvaluationSet) -> None:
    with torch.no_grad():
        for ids, mask in unpadded_batches(rows):
            made(ids, mask)


def _found(made: Any) -> tuple[Ranges, dict[str, Tensor]]:
    """Reads ranges and scales out of the graph: each linear operation's dequantised input and weight."""
    inputs, scales = dict[str, Range](), dict[str, Tensor]()
    for node in made.graph.nodes:
        if node.op != "call_function" or node.target is not torch.ops.aten.linear.default:
            continue
        source, weight = node.args[0], node.args[1]
        if not all(str(one.target).startswith("quantized_decomposed.dequantize") for one in (source, weight)):
            continue
        name = weight.args[0].args[0].target.removeprefix("model.").removesuffix(".weight").removesuffix(".linear")
        _, scale, zero, least, most = source.args[:5]
        inputs[name] = (min(0.0, (least - zero) * scale), max(0.0, (most - zero) * scale))
        scales[name] = getattr(made, weight.args[1].target).detach().clone()
    return Ranges(inputs), scales


def main() -> None:
    """Shows that Neural Compressor's own SmoothQuant does not run."""
    require("neural_compressor", "nc")
    from neural_compressor.torch.quantization import SmoothQuantConfig, quantize

    config = EdgeBertConfig(vocab_size=32, hidden_size=16, head_size=8, heads=[2], ffn=[32], max_position_embeddings=8)
    model = EdgeBertForSequenceClassification(config)
    example = (torch.ones(2, 8, dtype=torch.int64),) * 2
    quantize(_Logits(model), SmoothQuantConfig(), run_fn=lambda one: one(*example), example_inputs=example)


if __name__ == "__main__":
    main()

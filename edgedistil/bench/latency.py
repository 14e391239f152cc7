"""What each sublayer of a BERT costs on a device, as a table: attention by heads, FFN by neurons, and the rest."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from edgedistil.bench.facts import DeviceFacts
from edgedistil.errors import UsageError
from edgedistil.hashing import hash_value

TABLE_VERSION: Final = 1
Unit = Literal["ms", "instructions"]


class _Record(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Shape(_Record):
    """The sizes that decide what a model's sublayers cost.

    Attributes:
        layers: Encoder layers.
        hidden_size: Width of the residual stream.
        head_size: Width of one head.
        heads: Heads of an unpruned layer.
        ffn: FFN neurons of an unpruned layer.
        first_token: Whether the exported file computes one token alone in the last layer, as a classifier's does.
        activation: The FFN's activation.
    """

    layers: int = Field(ge=1)
    hidden_size: int = Field(ge=1)
    head_size: int = Field(ge=1)
    heads: int = Field(ge=1)
    ffn: int = Field(ge=1)
    first_token: bool = True
    activation: str = "gelu"


class Setting(_Record):
    """How a table's files were run; another setting is another table.

    Attributes:
        format: Key of the bundle's formats, such as `tflite-int8`: runtime and precision.
        threads: Threads an inference may use.
        sequence_length: Tokens an inference.
        shape: Of the model to be pruned.
    """

    format: str
    threads: int = Field(ge=1)
    sequence_length: int = Field(ge=1)
    shape: Shape


class Steps(_Record):
    """A cost at some widths, straight lines between.

    Attributes:
        widths: Heads or neurons, rising from 0.
        costs: The cost at each; 0 at width 0, where only a bias is left, which the table's `rest` holds.
    """

    widths: list[int] = Field(min_length=2)
    costs: list[float]

    @model_validator(mode="after")
    def _rises_from_nothing(self) -> Steps:
        if len(self.widths) != len(self.costs) or self.widths[0] or self.costs[0]:
            raise ValueError("widths and costs start with 0 and are equally many")
        if self.widths != sorted(set(self.widths)):
            raise ValueError("widths must rise")
        return self

    def at(self, width: int) -> float:
        """Returns the cost of a width, in the table's unit; beyond the last width, on its last line."""
        if width <= self.widths[-1]:
            return float(np.interp(width, self.widths, self.costs))
        slope = (self.costs[-1] - self.costs[-2]) / (self.widths[-1] - self.widths[-2])
        return self.costs[-1] + slope * (width - self.widths[-1])


class Probe(_Record):
    """A whole model that was measured.

    Attributes:
        heads: Heads of each layer.
        ffn: FFN neurons of each layer.
        measured: Its cost, in the table's unit.
        predicted: What the table says it costs.
        held_out: Whether the table was made without it, so that it tells how well costs add up.
    """

    heads: list[int]
    ffn: list[int]
    measured: float
    predicted: float
    held_out: bool = False

    @property
    def error(self) -> float:
        """The prediction's relative error."""
        return self.predicted / self.measured - 1


class LatencyTable(_Record):
    """What each sublayer costs on one device, in one runtime, precision, number of threads and sequence length.

    Attributes:
        table_version: Of this record.
        device_name: The profile's name.
        device: What it was measured on.
        runtime: Name of the runtime.
        runtime_version: Its version.
        setting: How the files were run.
        exporter: How often the format's exporter had changed what it writes when the files were made.
        unit: `ms`, a median; or `instructions`, on an emulator, whose clock means nothing.
        rest: Embeddings, norms, biases and classifier: a model without any head or neuron.
        attention: A layer's attention, by heads.
        ffn: A layer's FFN, by neurons.
        last_attention: The last layer's, which may compute one token alone.
        last_ffn: The last layer's.
        probes: The models it was made from, and those that check it.
        seconds: Wall time it took.
        started: UTC, ISO 8601.
    """

    table_version: Literal[1] = TABLE_VERSION
    device_name: str
    device: DeviceFacts
    runtime: str
    runtime_version: str
    setting: Setting
    exporter: int = 0
    unit: Unit = "ms"
    rest: float = Field(ge=0)
    attention: Steps
    ffn: Steps
    last_attention: Steps
    last_ffn: Steps
    probes: list[Probe] = []
    seconds: float = 0.0
    started: str = ""

    @property
    def key(self) -> str:
        """Names what the table holds for: device, runtime with its version, setting, and the exporter of its files."""
        return table_key(self.device, self.runtime_version, self.setting, self.exporter)

    @property
    def held_out_error(self) -> float:
        """The largest relative error on models that the table was made without; 0 where there were none."""
        return max((abs(probe.error) for probe in self.probes if probe.held_out), default=0.0)

    def attention_cost(self, layer: int, heads: int) -> float:
        """Returns what a layer's attention costs, in the table's unit."""
        steps = self.last_attention if layer == self.setting.shape.layers - 1 else self.attention
        return steps.at(heads)

    def ffn_cost(self, layer: int, neurons: int) -> float:
        """Returns what a layer's FFN costs, in the table's unit."""
        steps = self.last_ffn if layer == self.setting.shape.layers - 1 else self.ffn
        return steps.at(neurons)

    def predict(self, heads: Sequence[int], ffn: Sequence[int]) -> float:
        """Returns what a whole model costs, in the table's unit.

        Args:
            heads: Heads of each layer.
            ffn: FFN neurons of each layer.

        Raises:
            ValueError: When the layers are not as many as the table's.
        """
        if not len(heads) == len(ffn) == self.setting.shape.layers:
            raise ValueError(f"a table of {self.setting.shape.layers} layers cannot tell of {len(heads)}")
        attention = sum(self.attention_cost(layer, count) for layer, count in enumerate(heads))
        return self.rest + attention + sum(self.ffn_cost(layer, count) for layer, count in enumerate(ffn))

    def shifted(self, offset: float) -> LatencyTable:
        """Returns a table whose every prediction is that much higher, for a model that was measured so."""
        return self.model_copy(update={"rest": max(self.rest + offset, 0.0)})


def table_key(device: DeviceFacts, runtime_version: str, setting: Setting, exporter: int = 0) -> str:
    """Returns 16 hexadecimal digits that change with the device, the runtime's version, the setting or the exporter."""
    facts = {
        "version": TABLE_VERSION,
        "device": device.fingerprint,
        "runtime_version": runtime_version,
        "setting": setting.model_dump(),
        # Named only once there was a change, so that tables of before keep their names.
        **({"exporter": exporter} if exporter else {}),
    }
    return hash_value(facts)[:16]


def read_table(path: Path) -> LatencyTable:
    """Reads a table.

    Raises:
        UsageError: When the file is missing or is no latency table.
    """
    cure = "make it with: edgedistil profile"
    try:
        return LatencyTable.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UsageError("no such latency table", where=str(path), cure=cure) from error
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"cannot be read ({error})", where=str(path), cure=cure) from error
    except ValidationError as error:
        fault = error.errors()[0]
        key = ".".join(str(part) for part in fault["loc"]) or "the file"
        raise UsageError(f"not a latency table ({key}: {fault['msg']})", where=str(path), cure=cure) from error


def kept_tables(
    folder: Path, device_name: str, format_name: str, say: Callable[[str], None] | None = None
) -> Iterator[LatencyTable]:
    """Returns the tables of a device and format that a folder keeps; a damaged file is passed over.

    Args:
        folder: Holds tables, by device and format.
        device_name: The profile's name.
        format_name: Key of the bundle's formats.
        say: Told of every damaged file.
    """
    for path in sorted(folder.glob(f"{device_name}-{format_name}-*.json")):
        try:
            yield read_table(path)
        except UsageError as error:
            if say:
                say(f"edgedistil: {error.where}: {error.what}; passed over")


def write_table(table: LatencyTable, path: Path) -> None:
    """Writes a table as JSON, whole or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_suffix(".partial")
    partial.write_text(table.model_dump_json(indent=1) + "\n", encoding="utf-8")
    partial.replace(path)

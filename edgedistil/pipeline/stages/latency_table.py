"""latency-table: what each head and FFN width costs on the recipe's device, known before anything is trained."""

from __future__ import annotations

from typing import Any

from edgedistil.export.versions import exporter_changes
from edgedistil.hashing import hash_value
from edgedistil.pipeline.latency_tables import tables_folder
from edgedistil.pipeline.stage import Effort, Stage, StageContext
from edgedistil.pipeline.stages.context import Build

NAME = "latency-table"
FILE = "table.json"
VERSION = 1
_SECONDS = 150.0


def latency_table_stage(build: Build) -> Stage:
    """Returns the stage that writes `table.json`; one that `edgedistil profile` has made is taken over.

    Raises:
        UsageError: When there is no such device, or it cannot run the format.
    """
    place = build.place
    changes = exporter_changes(place.setting.format)

    def work(context: StageContext) -> dict[str, Any]:
        from edgedistil.bench.latency import write_table
        from edgedistil.profiling.table import table_for

        table = table_for(place.device, place.setting, tables_folder(build.workspace.root), context.progress)
        write_table(table, context.folder / FILE)
        shape = table.setting.shape
        return {
            "unit": table.unit,
            "rest": table.rest,
            "whole": table.predict([shape.heads] * shape.layers, [shape.ffn] * shape.layers),
            "held_out_error": table.held_out_error,
        }

    return Stage(
        name=NAME,
        version=VERSION,
        parameters={
            "setting": place.setting.model_dump(),
            "runtime_version": place.runtime_version,
            **({"exporter": changes} if changes else {}),
        },
        inputs={},
        work=work,
        fingerprints={"device": hash_value(place.facts.model_dump(exclude={"memory_mb"}))},
        effort=Effort(seconds=_SECONDS),
    )

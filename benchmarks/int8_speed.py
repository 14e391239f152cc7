"""int8 at DistilBERT's size: `python benchmarks/int8_speed.py TOKENISED` writes results/int8/speed-KIND.json.

A student of 6 x 768 (12 heads of 64, 3072 neurons, 30,522 words) with random weights, since no time depends on them, in
every format; what the peers make of its fp32 files; and what they make, "by hand", of a Hugging Face model of that
shape, exported by themselves. 128 tokens, all files in turns. TOKENISED is a data stage's split, whose text the static
files are calibrated on; KIND is the processor's: `amx`, `vnni` or `plain`, which has no instructions for 8 bits.

Two files of the same operators came out 0.94 to 1.04 times as fast as each other from session to session: each
starts its processes anew, and a figure is the median of the sessions', with the least and the greatest.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from int8 import FP32, RESULTS, bench, times_of
from int8_by_hand import by_hand
from int8_files import MADE, UNTIMED, File, own_files, peer_files, runnable
from int8_peers import peer_versions
from int8_shipped import RUNTIMES
from provenance import provenance, write_record
from transformers import DistilBertConfig, DistilBertForSequenceClassification

from edgedistil.bench.measurement import Measurement, speedup
from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.data.tokens import open_tokens
from edgedistil.export.calibration import choose_rows
from edgedistil.export.making import EXPORTERS, Calibrating, Job
from edgedistil.models import EdgeBertConfig, EdgeBertForSequenceClassification
from edgedistil.quiet import silence

LENGTH = 128
LAYERS = 6

Session = Mapping[str, Measurement]


def make(folder: Path, rows: Any) -> dict[str, Path]:
    """Writes the model in every timed format; returns where each is."""
    torch.manual_seed(0)
    config = EdgeBertConfig(hidden_size=768, head_size=64, heads=[12] * LAYERS, ffn=[3072] * LAYERS, num_labels=2)
    model = EdgeBertForSequenceClassification(config).eval()
    job = Job(model, [LENGTH], folder, Calibrating(rows, folder=folder))
    formats = [name for name in MADE if name not in UNTIMED]
    for name in formats:
        print(f"making {name}", flush=True)
        with silence():
            EXPORTERS[name](job)
    (folder / "config.json").write_text(json.dumps({"model_type": "distilbert", "n_layers": LAYERS}), encoding="utf-8")
    return {name: job.place(name) for name in formats}


def hugging_face() -> DistilBertForSequenceClassification:
    """Returns the same shape as a user of Hugging Face has it."""
    torch.manual_seed(0)
    return DistilBertForSequenceClassification(DistilBertConfig(n_layers=LAYERS, num_labels=2))


def spread(values: Iterable[float]) -> list[float]:
    """Returns the median, the least and the greatest."""
    found = list(values)
    return [statistics.median(found), min(found), max(found)]


def against(title: str, other: str, sessions: Sequence[Session]) -> list[float]:
    """Returns how many times as fast as another file one is."""
    return spread(speedup(session[title], session[other]).value for session in sessions)


def fastest(files: Sequence[File], sessions: Sequence[Session], runtime: str) -> str:
    """Returns the title of the fastest 8-bit one of these files in a runtime, with or without bf16."""
    found = [file.title for file in files if file.runtime.startswith(runtime) and "_wi8_" in file.scheme]
    return max(found, key=lambda title: against(title, FP32, sessions)[0])


def duel(makers: Mapping[str, Sequence[File]], sessions: Sequence[Session], runtime: str) -> dict[str, Any]:
    """Returns how fast everyone's best 8-bit file is in a runtime, and ours against the others'.

    Args:
        makers: Files by whose they are; ours are "ours".
        sessions: All files' measurements.
        runtime: With bf16 or without, if that is OpenVINO.
    """
    best = {whose: fastest(files, sessions, runtime) for whose, files in makers.items()}
    found: dict[str, Any] = {"files": list(best.values())}
    found |= {whose: against(title, FP32, sessions) for whose, title in best.items()}
    others = [whose for whose in best if whose != "ours"]
    return found | {f"ours_against_{whose}": against(best["ours"], best[whose], sessions) for whose in others}


def kind_of(flags: Sequence[str]) -> str:
    """Returns which instructions for 8 bits a processor has."""
    if "amx_int8" in flags:
        return "amx"
    return "vnni" if {"avx512_vnni", "avx_vnni"} & set(flags) else "plain"


def row_of(file: File, times: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Returns a file's facts, and its times of every session in one."""
    return {
        **file.facts,
        "p50_ms": spread(one["p50_ms"][0] for one in times),
        "speed": spread(one["speed"][0] for one in times),
        "peak_mb": max(one["peak_mb"] for one in times),
        "busy": max(one["busy"] or 0.0 for one in times),
    }


def measure(text: EvaluationSet, threads: int, seconds: float, count: int) -> dict[str, Any]:
    """Makes all files, has them take turns in each of `count` sessions, and returns the result.

    Args:
        text: Training text.
        threads: Of every runtime.
        seconds: Most timed seconds a file and session.
        count: Sessions.
    """
    # Made anew each time: files of an earlier call may be of other code.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = make(folder, text)
        given = (paths["onnx-fp32"], paths["tflite-fp32"], folder / "config.json", text, folder / "peers")
        makers = {
            "ours": runnable(own_files(paths)),
            "peers": runnable(peer_files(*given, dev=None)),
            "by_hand": runnable(by_hand(hugging_face(), LENGTH, text, folder / "by_hand")),
        }
        files = [file for each in makers.values() for file in each]
        sessions = [bench(files, LENGTH, threads, seconds) for _ in range(count)]
        times = [times_of(session) for session in sessions]
        rows = [row_of(one, [each[one.title] for each in times]) for one in files]
    best = {name: duel(makers, sessions, name) for name in RUNTIMES}
    return {"threads": threads, "tokens": LENGTH, "sessions": count, "best": best, "rows": rows}


def main() -> None:
    """Measures, and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("text", type=Path, help="a data stage's train folder")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seconds", type=float, default=8.0, help="most timed seconds a file and session")
    parser.add_argument("--sessions", type=int, default=3)
    ask = parser.parse_args()
    measured = measure(choose_rows(open_tokens(ask.text), 300, 0), ask.threads, ask.seconds, ask.sessions)
    known = {"command": "python benchmarks/int8_speed.py TOKENISED", **provenance(peer_versions())}
    path = RESULTS / f"speed-{kind_of(known['flags'])}.json"
    print(write_record(path, known | {"shape": f"{LAYERS} x 768"} | measured))
    print(json.dumps(measured["best"], indent=1))


if __name__ == "__main__":
    main()

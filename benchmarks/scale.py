"""Memory of a run over many rows: `python benchmarks/scale.py ../shared` writes results/scale/memory.json.

The same recipe over ten thousand and over a million rows, windows of the unlabelled reviews, from the data to the
measured files; the training alone is told apart, since export needs the most where rows are few. The models are
small, so that a million rows take minutes: what does not grow with the rows is least with them, a stricter ratio.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml
from provenance import provenance, write_record
from transformers import AutoTokenizer, BertConfig, BertModel

from edgedistil.data.plain_text import read_texts

RESULTS = Path(__file__).resolve().parent / "results" / "scale"
ROWS = (10_000, 1_000_000)
WORDS = 12
DEV = 1_000


def windows(reviews: Path) -> Iterator[tuple[str, str]]:
    """Yields (label, text): twelve words on end, each window six words after the last; does it speak of a film?"""
    for review in read_texts(reviews, "text"):
        words = review.replace("<br />", " ").split()
        for start in range(0, len(words) - WORDS, WORDS // 2):
            text = " ".join(words[start : start + WORDS])
            yield "film" if "film" in text.lower() or "movie" in text.lower() else "other", text


def write_rows(path: Path, rows: Iterator[tuple[str, str]], count: int) -> None:
    """Writes a JSON line a row; raises SystemExit if the text ends before."""
    with path.open("w", encoding="utf-8") as stream:
        for _ in range(count):
            row = next(rows, None)
            if row is None:
                raise SystemExit(f"{path.name}: the reviews have less than {count} windows")
            stream.write(json.dumps({"label": row[0], "text": row[1]}) + "\n")


def write_teacher(folder: Path, tokeniser: Path) -> None:
    """Writes a small BERT encoder that has learnt nothing, with a real vocabulary; the recipe fine-tunes it."""
    made = AutoTokenizer.from_pretrained(tokeniser)
    made.save_pretrained(folder)
    torch.manual_seed(0)
    sizes = {"hidden_size": 64, "num_hidden_layers": 4, "num_attention_heads": 2, "intermediate_size": 128}
    BertModel(BertConfig(vocab_size=len(made), **sizes), add_pooling_layer=False).save_pretrained(folder)


def recipe(rows: int) -> dict[str, Any]:
    """Returns a recipe that goes the whole way, once over the rows in each training."""
    training = {"epochs": 1, "batch_size": 256, "learning_rate": 1.0e-3}
    losses = {"soft_targets": 1.0, "hard_labels": 0.5, "hidden_states": 1.0}
    return {
        "name": f"rows-{rows}",
        "task": "text-classification",
        "data": {"source": "files", "train": f"{rows}.jsonl", "dev": "dev.jsonl", "labels": ["film", "other"]},
        "max_length": 32,
        "teacher": {"model": "teacher", "fine_tune": training},
        "student": {"layers": 2},
        "distil": training | {"losses": losses},
        "prune": {"parameters": 0.5, "recover": training | {"losses": losses}},
        "export": {"formats": ["onnx-fp32", "tflite-int8"], "sequence_lengths": [32]},
        "bench": {"sequence_length": 32, "seconds_per_file": 1},
    }


def run_of(folder: Path, rows: int) -> dict[str, Any]:
    """Runs the recipe over some rows; returns the peak memory of its training and of the whole, and the time."""
    path = folder / "export" / f"{rows}.yaml"
    path.write_text(yaml.safe_dump(recipe(rows)), encoding="utf-8")
    begun = time.perf_counter()
    training = peak_of(folder, "distil", path)
    made = {"rows": rows, "training_mb": training, "peak_mb": max(training, peak_of(folder, "run", path))}
    made["seconds"] = time.perf_counter() - begun
    print(f"{rows} rows: {made['training_mb']:.0f} and {made['peak_mb']:.0f} MB, {made['seconds']:.0f} s", flush=True)
    return made


def peak_of(folder: Path, command: str, path: Path) -> float:
    """Runs a command on a recipe; returns the MB that its largest process held at its peak.

    Raises:
        SystemExit: If it fails, with its last lines.
    """
    environment = os.environ | {"EDGEDISTIL_CACHE": str(folder / "cache")}
    with (folder / "log").open("w+") as log:
        words = [sys.executable, "-m", "edgedistil", command, str(path)]
        process = subprocess.Popen(words, stdout=log, stderr=log, env=environment, cwd=folder)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            log.seek(0)
            raise SystemExit(f"{command} {path.name}: exit code {process.returncode}\n{log.read()[-2000:]}")
    return usage.ru_maxrss * 1024 / 1e6


def measure(shared: Path) -> list[dict[str, Any]]:
    """Returns the runs, few rows first."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "export").mkdir()
        rows = windows(shared / "data" / "imdb_unlabelled" / "train_unsup.jsonl.gz")
        for file, count in [("dev", DEV), *((str(count), count) for count in ROWS)]:
            write_rows(folder / f"{file}.jsonl", rows, count)
        write_teacher(folder / "teacher", shared / "models" / "bge-small-en-v1.5")
        return [run_of(folder, count) for count in ROWS]


def main() -> None:
    """Measures and writes the result."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("shared", type=Path, help="folder with models/bge-small-en-v1.5 and data/imdb_unlabelled")
    options = parser.parse_args()
    for needed in ("models/bge-small-en-v1.5", "data/imdb_unlabelled/train_unsup.jsonl.gz"):
        if not (options.shared / needed).exists():
            parser.error(f"{options.shared}: there is no {needed} in it")
    runs = measure(options.shared)
    record = {
        "command": f"python benchmarks/scale.py {options.shared}",
        **provenance(),
        "runs": runs,
        "ratio": max(runs[-1][kind] / runs[0][kind] for kind in ("training_mb", "peak_mb")),
    }
    write_record(RESULTS / "memory.json", record)
    print(f"{record['ratio']:.2f} times the memory for {ROWS[-1] // ROWS[0]} times the rows")


if __name__ == "__main__":
    main()

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import BertForSequenceClassification

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.models import from_checkpoint, keep, save_model
from edgedistil.models.worker import TorchModel


def ask(requests: list[dict[str, Any]]) -> list[dict[str, Any]]:
    lines = "".join(json.dumps(request) + "\n" for request in [*requests, {"command": "quit"}])
    done = subprocess.Popen(
        [sys.executable, "-m", "edgedistil.models.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert done.stdin is not None
    assert done.stdout is not None
    # Standard input stays open until the answers are there: its end is the worker's.
    done.stdin.write(lines)
    done.stdin.flush()
    answers = [json.loads(done.stdout.readline()) for _ in requests]
    done.stdin.close()
    done.wait(timeout=30)
    done.stdout.close()
    return answers


def test_the_worker_runs_unequal_weights(
    small_bert: BertForSequenceClassification, batch: tuple[Tensor, Tensor], tmp_path: Path
) -> None:
    model = keep(from_checkpoint(small_bert), [[0], [], [1, 2], [3]], [range(8), range(4), [], [1]])
    save_model(model, tmp_path)
    rows = [ids[mask.bool()].numpy() for ids, mask in zip(*batch, strict=True)]
    expected = []
    for row in rows:
        with torch.no_grad():
            expected.append(int(model(torch.from_numpy(row)[None]).logits.argmax()))
    offsets = [0]
    for row in rows:
        offsets.append(offsets[-1] + len(row))
    evaluation = EvaluationSet(
        input_ids=torch.cat([torch.from_numpy(row) for row in rows]).int().numpy(),
        offsets=torch.tensor(offsets).numpy(),
        labels=torch.tensor(expected).numpy(),
        ids=torch.arange(len(rows)).numpy().astype("<U16"),
    )
    evaluation.save(tmp_path / "dev.npz")
    path = str(tmp_path / "model.safetensors")
    load = {"command": "load", "runtime": "pytorch", "path": path, "threads": 1}
    torn = tmp_path / "torn" / "model.safetensors"
    save_model(model, torn.parent)
    torn.write_bytes(b"torn")
    loaded, prepared, scored, refused, missing, unreadable = ask(
        [
            load,
            {"command": "prepare", "input_ids": [[rows[0].tolist()]]},
            {"command": "evaluate", "path": str(tmp_path / "dev.npz"), "batch": 2},
            {**load, "sequence_length": 41},
            {**load, "path": str(tmp_path / "none" / "model.safetensors")},
            {**load, "path": str(torn)},
        ]
    )
    assert loaded["ok"], loaded
    assert loaded["runtime_version"] == torch.__version__
    assert prepared["first_ms"] > 0
    assert scored["outputs"] == expected
    assert "takes at most 40 tokens" in refused["error"]
    assert "no such file" in missing["error"]
    assert unreadable["error"] == f"{torn}: the weights cannot be read"
    assert unreadable["cure"] == "fetch them again"


@pytest.mark.parametrize(("head", "width"), [("token", 3), ("span", 2)])
def test_heads_of_tokens_answer_every_token(
    small_bert: BertForSequenceClassification, batch: tuple[Tensor, Tensor], tmp_path: Path, head: str, width: int
) -> None:
    model = keep(from_checkpoint(small_bert, head=head), [[0], [], [1, 2], [3]], [range(8), range(4), [], [1]])
    save_model(model, tmp_path)
    runtime = TorchModel(str(tmp_path / "model.safetensors"), threads=1, sequence_length=17)
    found = runtime.run(*(part.numpy() for part in batch))
    assert found.shape == (5, 17, width)
    with torch.no_grad():
        torch.testing.assert_close(torch.from_numpy(found), model(*batch).logits, atol=1e-6, rtol=1e-5)
    runtime.close()

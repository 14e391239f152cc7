"""The card's front matter is what the Hub reads, and its code does what it says."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import tiny_bundle
import yaml

from edgedistil.bundle import Bundle


def front_matter(bundle: Bundle) -> dict[str, Any]:
    text = (bundle.folder / "README.md").read_text()
    _, head, _ = text.split("---\n", 2)
    return yaml.safe_load(head)


def snippets(bundle: Bundle) -> list[str]:
    return re.findall(r"```python\n(.*?)```", (bundle.folder / "README.md").read_text(), re.DOTALL)


def test_the_front_matter_is_the_hubs(bundle: Bundle) -> None:
    values = front_matter(bundle)
    assert values["license"] == "apache-2.0"
    assert values["base_model"] == "somebody/tiny-bert"
    assert values["library_name"] == "onnx"
    assert values["pipeline_tag"] == "text-classification"
    assert {"edgedistil", "onnx", "quantized"} <= set(values["tags"])
    (result,) = values["model-index"][0]["results"]
    assert result["task"] == {"type": "text-classification"}
    assert result["dataset"] == {"name": "made up", "type": "made-up", "split": "dev"}
    assert result["metrics"] == [{"type": "accuracy", "value": 0.8, "name": "accuracy, ONNX fp32"}]


def test_what_is_not_known_is_left_out(tmp_path: Path) -> None:
    made = tiny_bundle.make_bundle(tmp_path, licence=None, base_model="/home/me/teacher", facts={})
    assert not {"license", "base_model", "metrics", "model-index", "library_name"} & set(front_matter(made))
    assert "licence of the weights is not recorded" in (made.folder / "README.md").read_text()


@pytest.mark.parametrize("name", ["a: b", "x\n---\nlicense: mit", "|<script>alert(1)</script>|", "{{ 7 * 7 }}", "é ✓"])
def test_names_cannot_break_out(tmp_path: Path, name: str) -> None:
    made = tiny_bundle.make_bundle(tmp_path, name=name, labels=[name, "other"])
    values = front_matter(made)
    assert values["license"] == "apache-2.0"
    assert values["model-index"][0]["name"] == " ".join(name.split())
    text = (made.folder / "README.md").read_text()
    assert "<script>" not in text.split("```")[0].split("---\n", 2)[2]
    assert "49" not in text


def test_the_table_has_a_row_a_file(bundle: Bundle) -> None:
    text = (bundle.folder / "README.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| `onnx/model.onnx`"))
    assert [cell.strip() for cell in row.strip("|").split("|")][1:] == [
        "ONNX fp32",
        f"{bundle.path('onnx-fp32').stat().st_size / 1000:.1f} kB",
        "80.0 % (37.6 to 96.4)",
        "2e-07 (allowed 0.0001)",
        "100.0 % of 5",
    ]


@pytest.mark.parametrize("module", ["import onnxruntime", "from ai_edge_litert"])
def test_the_code_runs_as_printed(bundle: Bundle, tmp_path: Path, module: str) -> None:
    if "litert" in module:
        bundle = tiny_bundle.make_litert_bundle(tmp_path / "litert")
    (code,) = [text for text in snippets(bundle) if module in text]
    code = code.replace("FOLDER", str(bundle.folder)).replace("A text to classify.", "a very good film")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "positive"


def test_every_snippet_compiles(bundle: Bundle) -> None:
    found = snippets(bundle)
    assert len(found) == 2
    for text in found:
        compile(text, "card", "exec")

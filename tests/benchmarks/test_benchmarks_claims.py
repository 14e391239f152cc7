"""The committed promises: each value computed again from its result file, the README's tables with them."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest
from command import ROOT

from edgedistil.report.claims import read_claims


@pytest.fixture(scope="module")
def script() -> ModuleType:
    # As for the script itself, whose folder is the first place that Python looks in.
    sys.path.insert(0, str(ROOT / "benchmarks"))
    spec = importlib.util.spec_from_file_location("benchmark_claims", ROOT / "benchmarks" / "claims.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_every_claim_is_what_its_result_file_says(script: ModuleType):
    committed = {claim.id: claim for claim in read_claims(ROOT / "benchmarks" / "claims.json")}
    computed = {claim.id: claim for claim in script.compute_claims()}
    assert committed.keys() == computed.keys()
    for name, claim in computed.items():
        assert committed[name].model_dump(exclude={"measured", "interval"}) == claim.model_dump(
            exclude={"measured", "interval"}
        )
        assert committed[name].measured == pytest.approx(claim.measured, rel=1e-3, abs=1e-4)
        assert (ROOT / "benchmarks" / "results" / claim.result).is_file()


def test_the_pages_tables_are_the_results(script: ModuleType):
    made = script.tables()
    assert script.unused(made) == []
    for page in script.PAGES:
        text = page.read_text(encoding="utf-8")
        assert script.with_tables(text, made) == text


def test_no_result_holds_a_text():
    for path in Path(ROOT / "benchmarks" / "results").rglob("*.jsonl"):
        assert "\\t" not in path.read_text(encoding="utf-8")

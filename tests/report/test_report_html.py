"""The page stands alone, follows the page's colours, and holds every figure."""

from __future__ import annotations

import re
import sys
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import pytest
import tiny_bundle

from edgedistil.bench.measurement import Measurement
from edgedistil.bench.thermal import Conditions
from edgedistil.errors import UsageError
from edgedistil.report.html import next_commands, render_report, write_report
from edgedistil.report.picture import draw, frontier, points_of
from edgedistil.report.table import make_rows

Make = Callable[..., Measurement]


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory, measurements: list[Measurement]) -> str:
    bundle = tiny_bundle.make_bundle(tmp_path_factory.mktemp("page"), name="<b>quick</b>")
    return render_report(measurements, bundle)


def test_it_asks_nothing_of_a_network(page: str) -> None:
    addresses = set(re.findall(r'(?:src|href|url\()\s*=?\s*["\']?(?!#)([a-z]+:[^"\')\s>]+)', page))
    assert not addresses
    assert "<script" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_a_name_cannot_bring_in_markup(page: str) -> None:
    assert "<b>quick</b>" not in page
    assert "&lt;b&gt;quick&lt;/b&gt;" in page


def test_every_row_and_figure_is_there(page: str) -> None:
    for text in ("teacher, ONNX fp32", "TFLite int8", "83.9–88.3", "64.0", "12.5 s", "dev accuracy 0.881", "1e-04"):
        assert text.replace("1e-04", "0.0001") in page


def test_both_pictures_are_valid_and_share_no_id(page: str) -> None:
    pictures = re.findall(r"<svg.*?</svg>", page, re.DOTALL)
    assert len(pictures) == 2
    ids = [set(re.findall(r'\bid="([^"]+)"', text)) for text in pictures]
    assert not ids[0] & ids[1]
    for text, own in zip(pictures, ids, strict=True):
        ET.fromstring(text)
        assert set(re.findall(r'href="#([^"]+)"|url\(#([^)]+)\)', text)) <= {
            pair for name in own for pair in ((name, ""), ("", name))
        }
        assert "var(--onnx)" in text
        assert "#0001" not in text


def test_the_same_measurements_draw_the_same_picture(measurements: list[Measurement]) -> None:
    rows = make_rows(measurements)
    assert draw(rows, width=4, height=3, name="a") == draw(rows, width=4, height=3, name="a")


def test_the_frontier_is_what_nothing_else_beats(measurements: list[Measurement]) -> None:
    names = [point.name for point in frontier(points_of(make_rows(measurements)))]
    assert names == ["TFLite int8", "ONNX int8", "ONNX fp32", "teacher, ONNX fp32"]


def test_conditions_stand_at_the_top(measurements: list[Measurement], measurement: Make) -> None:
    page = render_report([*measurements, measurement(name="hot", conditions=Conditions(throttled=True))])
    assert page.index("throttled: the processor was slowed down") < page.index("Every file")


def test_without_bundle_accuracy_or_speed_there_is_still_a_page(measurement: Make) -> None:
    page = render_report([measurement(accuracy=None), measurement(name="arm", accuracy=None, emulated=True)])
    assert "<svg" not in page
    assert "Every file" in page
    assert "Lineage" not in page


def test_next_commands_are_quoted(tmp_path: Path) -> None:
    folder = tmp_path / "my runs"
    folder.mkdir()
    commands = next_commands(tiny_bundle.make_bundle(folder))
    assert commands[0].startswith("edgedistil predict '")
    assert commands[-1].endswith("--baseline benchmarks/baselines/tiny.json")


def test_the_file_is_written_whole(measurements: list[Measurement], tmp_path: Path) -> None:
    write_report(tmp_path / "new" / "report.html", measurements)
    assert (tmp_path / "new" / "report.html").read_text().rstrip().endswith("</html>")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["report.html"]


def test_missing_matplotlib_names_the_command(measurements: list[Measurement], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(UsageError, match=r"matplotlib is not installed; run: pip install 'edgedistil\[report\]'"):
        render_report(measurements)


def test_no_measurements_are_refused() -> None:
    with pytest.raises(UsageError, match="no measurements to report"):
        render_report([])


def test_the_table_needs_no_matplotlib(measurements: list[Measurement], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert len(make_rows(measurements)) == len(measurements)

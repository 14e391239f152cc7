from __future__ import annotations

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgedistil.bench.runner import energy

# Of a Raspberry Pi 5, shortened.
PMIC = """   3V7_WL_SW_A current(0)=0.08882280A
   3V3_SYS_A current(1)=0.06443280A
   VDD_CORE_A current(7)=0.83810000A
   3V7_WL_SW_V volt(8)=3.69562300V
   3V3_SYS_V volt(9)=3.31270600V
   VDD_CORE_V volt(15)=0.72027550V
      EXT5V_V volt(24)=5.14664000V
       BATT_V volt(25)=0.00000000V
"""


def test_watts_are_volts_times_amperes_of_the_rails_that_tell_both() -> None:
    expected = 0.08882280 * 3.69562300 + 0.06443280 * 3.31270600 + 0.83810000 * 0.72027550
    assert energy.parse_pmic(PMIC) == pytest.approx(expected)
    assert energy.parse_pmic("VCHI initialization failed") is None
    assert energy.parse_pmic("EXT5V_V volt(24)=5.1V") is None


@given(st.text())
def test_any_text_is_watts_or_nothing(text: str) -> None:
    found = energy.parse_pmic(text)
    assert found is None or found >= 0


@given(
    st.dictionaries(
        st.from_regex(r"[0-9A-Z]{1,8}(_[A-Z]{1,4})?", fullmatch=True),
        st.tuples(st.floats(0, 10), st.floats(0, 6)),
        min_size=1,
        max_size=12,
    )
)
def test_every_rail_counts_once_in_whatever_order(rails: dict[str, tuple[float, float]]) -> None:
    lines = [f"  {name}_A current({i})={amps:.8f}A" for i, (name, (amps, _)) in enumerate(rails.items())]
    lines += [f"  {name}_V volt({i})={volts:.8f}V" for i, (name, (_, volts)) in enumerate(rails.items())]
    expected = sum(round(amps, 8) * round(volts, 8) for amps, volts in rails.values())
    assert energy.parse_pmic("\n".join(reversed(lines))) == pytest.approx(expected, abs=1e-6)


def package(folder: Path, name: str, microjoules: int, span: int = 1000, zone: str = "package-0") -> Path:
    path = folder / name
    path.mkdir(parents=True, exist_ok=True)
    (path / "name").write_text(f"{zone}\n")
    (path / "energy_uj").write_text(f"{microjoules}\n")
    (path / "max_energy_range_uj").write_text(f"{span}\n")
    return path


def test_packages_add_up_and_their_counters_wrap(tmp_path: Path) -> None:
    package(tmp_path, "intel-rapl:0", 990)
    package(tmp_path, "intel-rapl:1", 100)
    package(tmp_path, "intel-rapl:0:0", 500)
    meter = energy.Rapl(tmp_path)
    meter.start()
    package(tmp_path, "intel-rapl:0", 9)
    package(tmp_path, "intel-rapl:1", 150)
    package(tmp_path, "intel-rapl:0:0", 900)
    assert meter.stop() == pytest.approx((20 + 50) / 1e6)
    with pytest.raises(OSError, match="none"):
        energy.Rapl(tmp_path / "none")


def test_a_platforms_counter_is_not_added_to_the_package_that_it_holds(tmp_path: Path) -> None:
    package(tmp_path, "intel-rapl:0", 100)
    package(tmp_path, "intel-rapl:1", 400, zone="psys")
    meter = energy.Rapl(tmp_path)
    meter.start()
    package(tmp_path, "intel-rapl:0", 120)
    package(tmp_path, "intel-rapl:1", 470, zone="psys")
    assert meter.stop() == pytest.approx(20 / 1e6)


def test_energy_an_inference_is_the_meters_over_the_count() -> None:
    class Watt:
        """A device that always takes 2 W."""

        source = "two watts"

        def start(self) -> None:
            self.began = time.monotonic()

        def stop(self) -> float:
            return 2 * (time.monotonic() - self.began)

    found = energy.measure([lambda: time.sleep(0.005)], 0.3, Watt())
    assert found["idle_watts"] == pytest.approx(2, rel=0.05)
    assert len(found["millijoules"]) == 6
    assert all(9 < joules < 40 for joules in found["millijoules"])


def test_a_block_in_which_the_meter_told_nothing_took_no_zero_energy() -> None:
    class Faltering:
        """A meter whose tool fails in every other block."""

        source = "faltering"
        count = 0

        def start(self) -> None:
            self.count += 1

        def stop(self) -> float:
            return 0.5 * (self.count % 2)

    found = energy.measure([lambda: None], 0.06, Faltering())["millijoules"]
    assert len(found) == 3
    assert min(found) > 0


def test_a_pi_is_read_by_its_tool(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(FileNotFoundError, match="vcgencmd"):
        energy.Pmic()
    (tmp_path / "vcgencmd").write_text("#!/bin/sh\necho 'X_A current(0)=2.0A'; echo 'X_V volt(1)=1.5V'\n")
    (tmp_path / "vcgencmd").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    meter = energy.Pmic()
    meter.start()
    time.sleep(0.25)
    assert meter.stop() == pytest.approx(3 * 0.25, rel=0.3)

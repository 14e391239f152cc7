"""The single checks of a gate: score, latency, memory, size and instructions of one file against its baseline entry.

Decision table. L and U are one-sided 95 % bounds of the paired difference of the headline score (new less old, on the
examples both have answered), m the margin, p a two-sided p-value. For accuracy L and U are Tango's score interval and
p McNemar's exact one; for any other metric all are of the paired bootstrap (`paired`).

| check | pass | fail | inconclusive |
|---|---|---|---|
| score | L > -m | U < -m; or difference < -m and p < 0.05 | otherwise, with the examples it would take |
| p50 | interval of the ratio at or under the limit | interval above it | it holds the limit; device unsteady or busy |
| peak memory | ratio at or under the limit | ratio above it | - |
| size | ratio at or under the limit | ratio above it | - |
| instructions | ratio at or under the limit | ratio above it | - |
| presence | measured | its runtime refuses it, or it gives no answer to be used | it was not measured |

Latency and memory are "not compared", which counts neither way and is said, where the runtime or the device is another
than the baseline's, or an emulator, or where sequence length, batch or scenario differ; latency also where threads do,
which memory hardly feels. Instructions are counted, not sampled, so their ratio is exact; they are compared between
emulators of the same processor alone. Processes of others and a falling clock make a file slower, never faster: with
them a p50 may pass, not fail.

So a pass means that a loss of m or more is ruled out at the 5 % level, never merely that no loss was seen; a fail means
that a loss beyond m is shown (or that the score fell by more than m and is shown to have fallen at all), or that a hard
limit is broken; and too few examples lead to neither. All files must pass for the bundle to pass, so the chance of
passing a bundle with a file worse than the margin does not grow with the number of files (an intersection-union
test: Berger, Technometrics 24, 1982).

Tango's test is asymptotic. Its true level was enumerated exactly in 13,245 settings drawn at random (50 to 4,000
examples, margins of 0.2 to 10 points, 0 to 10 % of examples gained): where more than five examples are expected to be
gained it is 4.9 % on average and at most 5.4 %; the worst found is 7.1 %, with 56 examples, none gained and fewer than
three lost. The bootstrap's level was simulated 300 times in each of 36 settings of a mean F1 (100 to 1,000 examples,
margins of 1 to 5 points, losses of whole and of partial answers): 4.0 % on average, 8.7 % in the worst. Where answers
are lost whole beside others that change, it is 7.0 % at 150 examples (2,000 trials) and 5.0 % at 300 (1,500).
"""

from __future__ import annotations

from typing import Literal

from edgedistil.bench.measurement import Measurement
from edgedistil.bench.stats import ratio_interval
from edgedistil.bundle.formats import RUNTIME_TITLES
from edgedistil.bundle.records import Record
from edgedistil.gate.baseline import Baseline, BaselineEntry, steady

Outcome = Literal["pass", "fail", "inconclusive", "not compared"]
Kind = Literal["accuracy", "score", "latency", "memory", "size", "instructions", "presence"]


class Check(Record):
    """One thing held, and how it stands."""

    kind: Kind
    """`score` for any headline metric but accuracy."""
    outcome: Outcome
    line: str
    """What was found, in one line, with the figures that decide."""
    settle: str | None = None
    """What would settle an inconclusive check."""
    values: dict[str, float | int | None] = {}  # noqa: RUF012 - pydantic copies it for every record
    """The figures, by name: shares, ratios and counts."""


def check_latency(baseline: Baseline, entry: BaselineEntry, made: Measurement, limit: float) -> Check:
    """Judges the ratio of the medians; only where both were measured on the same kind of device, in the same way."""
    reason = _incomparable(baseline, entry, made) or _run_otherwise(entry, made)
    new, old = made.p50_ms, entry.p50_ms
    if reason or new is None or old is None:
        return Check(kind="latency", outcome="not compared", line=f"not compared: {reason or 'it was not timed'}")
    ratio, low, high = ratio_interval((new.value, new.low, new.high), (old.value, old.low, old.high))
    calm, doubts = steady(made) and entry.steady, made.conditions.doubts()
    outcome: Outcome = "inconclusive"
    if calm and high <= limit:
        outcome = "pass"
    elif calm and low > limit and not doubts:
        outcome = "fail"
    settle = None
    if not calm:
        whose = "the baseline" if steady(made) else "this run"
        settle = f"the device was unstable or throttled during {whose}: let it cool and rest, and measure again"
    elif outcome == "inconclusive" and doubts:
        settle = f"{'; '.join(doubts)}: let it rest, and measure again"
    elif outcome == "inconclusive":
        settle = "measure longer, or on a quieter machine: the interval holds the limit"
    return Check(
        kind="latency",
        outcome=outcome,
        line=(
            f"p50 {new.value:.3g} ms, was {old.value:.3g}: {ratio:.2f} times (95 % interval {low:.2f} to {high:.2f}; "
            f"limit {limit:.4g})"
        ),
        settle=settle,
        values={"ratio": ratio, "low": low, "high": high, "limit": limit},
    )


def check_memory(baseline: Baseline, entry: BaselineEntry, made: Measurement, limit: float) -> Check:
    """Judges the ratio of peak resident memory; only on the same kind of device, of inputs of the same shape."""
    reason = _incomparable(baseline, entry, made) or _fed_otherwise(entry, made)
    new, old = made.peak_memory_mb, entry.peak_memory_mb
    if reason or new is None or old is None:
        return Check(kind="memory", outcome="not compared", line=f"not compared: {reason or 'it was not measured'}")
    return _ratio("memory", "peak memory", new, old, limit)


def check_size(entry: BaselineEntry, made: Measurement, limit: float) -> Check:
    """Judges the ratio of file sizes, which are the same everywhere."""
    return _ratio("size", "file", made.bytes / 1e6, entry.bytes / 1e6, limit)


def check_instructions(baseline: Baseline, entry: BaselineEntry, made: Measurement, limit: float) -> Check | None:
    """Judges the ratio of instructions an inference; None where neither side has counted them."""
    new, old = made.instructions, entry.instructions
    if new is None and old is None:
        return None
    if new is None or old is None:
        whose = "this run" if new is None else "the baseline"
        reason: str | None = f"{whose} did not count them"
    elif (made.device.machine, made.device.cpu) != (baseline.device.machine, baseline.device.cpu):
        reason = f"counted on {made.device.cpu}, the baseline on {baseline.device.cpu}"
    else:
        reason = _run_otherwise(entry, made)
    if reason or new is None or old is None:
        return Check(kind="instructions", outcome="not compared", line=f"not compared: {reason}")
    ratio = new["total"] / old["total"]
    return Check(
        kind="instructions",
        outcome="pass" if ratio <= limit else "fail",
        line=f"{new['total']:,} an inference, was {old['total']:,}: {ratio:.4f} times (limit {limit:.5g})",
        values={"ratio": ratio, "limit": limit, "total": new["total"], "baseline_total": old["total"]},
    )


def _ratio(kind: Literal["memory", "size"], what: str, new: float, old: float, limit: float) -> Check:
    ratio = new / old
    return Check(
        kind=kind,
        outcome="pass" if ratio <= limit else "fail",
        line=f"{what} {new:.4g} MB, was {old:.4g}: {ratio:.2f} times (limit {limit:.4g})",
        values={"ratio": ratio, "limit": limit},
    )


def _incomparable(baseline: Baseline, entry: BaselineEntry, made: Measurement) -> str | None:
    if made.emulated or entry.emulated:
        return "an emulator's figures are not those of a device"
    differing = baseline.device.differences(made.device)
    if _on_a_gpu(made.runtime) and made.device.accelerator != baseline.device.accelerator:
        differing.append("accelerator")
    if differing:
        return f"another device than the baseline's ({', '.join(differing)} differ)"
    return _other_runtime(entry, made)


def _on_a_gpu(runtime: str) -> bool:
    return "cuda" in runtime or "tensorrt" in runtime


def _other_runtime(entry: BaselineEntry, made: Measurement) -> str | None:
    if made.runtime == entry.runtime:
        return None
    new, old = (RUNTIME_TITLES.get(runtime, runtime) for runtime in (made.runtime, entry.runtime))
    return f"run by {new}, the baseline by {old}"


def _run_otherwise(entry: BaselineEntry, made: Measurement) -> str | None:
    """Returns how the file was run in another way than the baseline's, or None."""
    if (made.threads, made.sequence_length) != (entry.threads, entry.sequence_length):
        return (
            f"{made.threads} threads at {made.sequence_length} tokens, the baseline {entry.threads} "
            f"at {entry.sequence_length}"
        )
    return _fed_otherwise(entry, made) or _other_runtime(entry, made)


def _fed_otherwise(entry: BaselineEntry, made: Measurement) -> str | None:
    """Returns how the file's inputs were of another shape than the baseline's, which activations grow with; or None."""
    if made.sequence_length != entry.sequence_length:
        return f"at {made.sequence_length} tokens, the baseline at {entry.sequence_length}"
    if (made.batch, made.scenario) != (entry.batch, entry.scenario):
        return f"{made.scenario} at batch {made.batch}, the baseline {entry.scenario} at batch {entry.batch}"
    return None

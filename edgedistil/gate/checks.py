"""The single checks of a gate: accuracy, latency, memory and size of one file against its baseline entry.

Decision table. L and U are the one-sided 95 % bounds of Tango's score interval for the paired difference of accuracy
(new less old, on the examples both have answered), m the margin, p McNemar's exact two-sided p-value.

| check | pass | fail | inconclusive |
|---|---|---|---|
| accuracy | L > -m | U < -m; or difference < -m and p < 0.05 | otherwise, with the examples it would take |
| p50 | interval of the ratio at or under the limit | interval above it | it holds the limit; device not steady |
| peak memory | ratio at or under the limit | ratio above it | - |
| size | ratio at or under the limit | ratio above it | - |
| presence | - | - | the baseline holds the file, and it was not measured |

Latency and memory are "not compared", which counts neither way and is said, where the device is another than the
baseline's or an emulator, latency also where threads or sequence length differ.

So a pass means that a loss of m or more is ruled out at the 5 % level, never merely that no loss was seen; a fail means
that a loss beyond m is shown (or that accuracy fell by more than m and is shown to have fallen at all), or that a hard
limit is broken; and too few examples lead to neither. All files must pass for the bundle to pass, so the chance of
passing a bundle with a file worse than the margin does not grow with the number of files (an intersection-union
test: Berger, Technometrics 24, 1982).

Tango's test is asymptotic. Its true level was enumerated exactly in 13,245 settings drawn at random (50 to 4,000
examples, margins of 0.2 to 10 points, 0 to 10 % of examples gained): where more than five examples are expected to be
gained it is 4.9 % on average and at most 5.4 %; the worst found is 7.1 %, with 56 examples, none gained and fewer than
three lost.
"""

from __future__ import annotations

from typing import Literal

from edgedistil.bench.measurement import Measurement
from edgedistil.bundle.records import Record
from edgedistil.errors import UsageError
from edgedistil.gate.baseline import Baseline, BaselineEntry, steady
from edgedistil.gate.limits import GateLimits
from edgedistil.gate.statistics import (
    Pairs,
    examples_to_settle,
    mcnemar_exact,
    ratio_interval,
    tango_lower,
    tango_upper,
)

Outcome = Literal["pass", "fail", "inconclusive", "not compared"]

_SIGNIFICANT = 0.05


class Check(Record):
    """One thing held, and how it stands."""

    kind: Literal["accuracy", "latency", "memory", "size", "presence"]
    outcome: Outcome
    line: str
    """What was found, in one line, with the figures that decide."""
    settle: str | None = None
    """What would settle an inconclusive check."""
    values: dict[str, float | int | None] = {}  # noqa: RUF012 - pydantic copies it for every record
    """The figures, by name: shares, ratios and counts."""


def pairs_of(baseline: Baseline, entry: BaselineEntry, made: Measurement) -> Pairs:
    """Counts how two files answer the examples that both have.

    Raises:
        UsageError: When the new file was not scored, no example is in both, or a reference label has changed.
    """
    where = f"{made.bundle}, {made.name}"
    if not made.predictions:
        raise UsageError("was measured without being scored", where=where, cure="bench it with an evaluation set")
    common = entry.predictions.keys() & made.predictions.keys()
    if not common:
        raise UsageError(
            f"no example in common with baseline '{baseline.name}'",
            where=where,
            cure="score it on the data the baseline was set on, or set a new baseline",
        )
    changed = [example for example in common if baseline.labels[example] != made.labels.get(example)]
    if changed:
        raise UsageError(
            f"{len(changed)} of {len(common)} reference labels differ from those of baseline '{baseline.name}'",
            where=where,
            cure="the data or the order of the labels changed: set a new baseline",
        )
    right = {
        example: (
            entry.predictions[example] == baseline.labels[example],
            made.predictions[example] == baseline.labels[example],
        )
        for example in common
    }
    outcomes = list(right.values())
    return Pairs(len(common), outcomes.count((False, True)), outcomes.count((True, False)))


def check_accuracy(baseline: Baseline, entry: BaselineEntry, made: Measurement, margin: float) -> Check:
    """Judges accuracy on the examples in common: see the decision table above.

    Raises:
        UsageError: As `pairs_of`.
    """
    pairs = pairs_of(baseline, entry, made)
    difference, lower, upper = pairs.difference, tango_lower(pairs), tango_upper(pairs)
    p_value = mcnemar_exact(pairs)
    worse = upper < -margin or (difference < -margin and p_value < _SIGNIFICANT)
    outcome: Outcome = "pass" if lower > -margin else "fail" if worse else "inconclusive"
    needed = examples_to_settle(pairs, margin) if outcome == "inconclusive" else None
    line = (
        f"{_points(difference)} points (one-sided 95 % bounds {_points(lower)} and {_points(upper)}; "
        f"{100 * margin:.3g} may be lost) on {pairs.count:,.0f} examples: {pairs.gained:.0f} gained, "
        f"{pairs.lost:.0f} lost, McNemar's exact p = {p_value:.2g}"
    )
    absent = len(entry.predictions) - int(pairs.count)
    if absent:
        line += f"; {absent:,} of the baseline's examples were not answered"
    return Check(
        kind="accuracy",
        outcome=outcome,
        line=line,
        settle=_settle_accuracy(pairs, needed) if outcome == "inconclusive" else None,
        values={
            "difference": difference,
            "lower": lower,
            "upper": upper,
            "margin": margin,
            "mcnemar_p": p_value,
            "examples": int(pairs.count),
            "gained": int(pairs.gained),
            "lost": int(pairs.lost),
            "examples_to_settle": needed,
        },
    )


def _settle_accuracy(pairs: Pairs, needed: int | None) -> str:
    if needed is None:
        return "the loss sits on the margin itself, where no number of examples decides: choose another margin"
    more = max(needed - int(pairs.count), 1)
    return (
        f"about {more:,} examples more ({needed:,} in all) would settle it, should the difference stay as it is; "
        "or a wider margin"
    )


def check_latency(baseline: Baseline, entry: BaselineEntry, made: Measurement, limit: float) -> Check:
    """Judges the ratio of the medians; only where both were measured on the same kind of device, in the same way."""
    reason = _incomparable(baseline, entry, made)
    if (made.threads, made.sequence_length) != (entry.threads, entry.sequence_length):
        reason = reason or (
            f"{made.threads} threads at {made.sequence_length} tokens, the baseline {entry.threads} "
            f"at {entry.sequence_length}"
        )
    if reason:
        return Check(kind="latency", outcome="not compared", line=f"not compared: {reason}")
    new, old = made.p50_ms, entry.p50_ms
    ratio, low, high = ratio_interval((new.value, new.low, new.high), (old.value, old.low, old.high))
    calm = steady(made) and entry.steady
    outcome: Outcome = "inconclusive"
    if calm and high <= limit:
        outcome = "pass"
    elif calm and low > limit:
        outcome = "fail"
    settle = None
    if not calm:
        whose = "the baseline" if steady(made) else "this run"
        settle = f"the device was unstable or throttled during {whose}: let it cool and rest, and measure again"
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
    """Judges the ratio of peak resident memory; only on the same kind of device."""
    reason = _incomparable(baseline, entry, made)
    if reason:
        return Check(kind="memory", outcome="not compared", line=f"not compared: {reason}")
    return _ratio("memory", "peak memory", made.peak_memory_mb, entry.peak_memory_mb, limit)


def check_size(entry: BaselineEntry, made: Measurement, limit: float) -> Check:
    """Judges the ratio of file sizes, which are the same everywhere."""
    return _ratio("size", "file", made.bytes / 1e6, entry.bytes / 1e6, limit)


def check_all(baseline: Baseline, entry: BaselineEntry, made: Measurement, limits: GateLimits) -> list[Check]:
    """Makes every check of one file.

    Raises:
        UsageError: As `pairs_of`.
    """
    return [
        check_accuracy(baseline, entry, made, limits.margin),
        check_latency(baseline, entry, made, limits.latency_ratio),
        check_memory(baseline, entry, made, limits.memory_ratio),
        check_size(entry, made, limits.size_ratio),
    ]


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
    if differing:
        return f"another device than the baseline's ({', '.join(differing)} differ)"
    return None


def _points(share: float) -> str:
    return f"{100 * share:+.2f}"

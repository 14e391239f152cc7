"""The check of a file's answers: did the headline score fall, on the examples that the baseline has answered too?"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from edgedistil.bench.measurement import Measurement
from edgedistil.errors import UsageError
from edgedistil.gate.baseline import Baseline, BaselineEntry
from edgedistil.gate.checks import Check, Outcome
from edgedistil.gate.paired import Paired, compare_scores
from edgedistil.gate.statistics import Pairs, examples_to_settle, mcnemar_exact, tango_lower, tango_upper
from edgedistil.tasks import Task, get_task

_SIGNIFICANT = 0.05


@dataclass(frozen=True)
class Answered:
    """What two files answer to the examples that both have, in one order.

    Attributes:
        references: What is right.
        old: The baseline's predictions.
        new: The new file's.
    """

    references: list[Any]
    old: list[Any]
    new: list[Any]

    @property
    def pairs(self) -> Pairs:
        """Returns the counts that accuracy is compared by."""
        right = [(old == true, new == true) for old, new, true in zip(self.old, self.new, self.references, strict=True)]
        return Pairs(len(right), right.count((False, True)), right.count((True, False)))

    def scores(self, task: Task, metric: str) -> Paired:
        """Returns the bootstrap that any other score is compared by."""
        old, new = task.statistics(self.old, self.references), task.statistics(self.new, self.references)
        return compare_scores(old, new, lambda sums: task.metrics(sums)[metric])


def answered_by_both(baseline: Baseline, entry: BaselineEntry, made: Measurement) -> Answered:
    """Finds the examples that two files have both answered.

    Raises:
        UsageError: When the new file was not scored, no example is in both, or a reference has changed.
    """
    where = f"{made.bundle}, {made.name}"
    if not made.predictions:
        raise UsageError("was measured without being scored", where=where, cure="bench it with an evaluation set")
    common = [example for example in entry.predictions if example in made.predictions]
    if not common:
        raise nothing_in_common(baseline, where)
    changed = [example for example in common if baseline.labels[example] != made.labels.get(example)]
    if changed:
        raise UsageError(
            f"{len(changed)} of {len(common)} reference labels differ from those of baseline '{baseline.name}'",
            where=where,
            cure="the data or the order of the labels changed: set a new baseline",
        )
    return Answered(
        [baseline.labels[example] for example in common],
        [entry.predictions[example] for example in common],
        [made.predictions[example] for example in common],
    )


def nothing_in_common(baseline: Baseline, where: str) -> UsageError:
    """Returns the error of examples of which the baseline has none."""
    return UsageError(
        f"no example in common with baseline '{baseline.name}'",
        where=where,
        cure="score it on the data the baseline was set on, or set a new baseline",
    )


def check_quality(baseline: Baseline, entry: BaselineEntry, made: Measurement, margin: float) -> Check:
    """Judges the headline score on the examples in common: see the decision table in `checks`.

    Raises:
        UsageError: As `answered_by_both`, or when the files were scored by different metrics.
    """
    answered = answered_by_both(baseline, entry, made)
    task = get_task(baseline.task)
    metric = made.accuracy.metric if made.accuracy else task.metric
    held = entry.accuracy.metric if entry.accuracy else metric
    if held != metric:
        raise UsageError(
            f"was scored by {metric}, and baseline '{baseline.name}' by {held}",
            where=f"{made.bundle}, {made.name}",
            cure="set a new baseline",
        )
    found = _accuracy(answered.pairs, margin) if metric == "accuracy" else _score(answered, task, metric, margin)
    absent = len(entry.predictions) - len(answered.references)
    if absent:
        line = f"{found.line}; {absent:,} of the baseline's examples were not answered"
        return found.model_copy(update={"line": line})
    return found


def _accuracy(pairs: Pairs, margin: float) -> Check:
    difference, lower, upper = pairs.difference, tango_lower(pairs), tango_upper(pairs)
    p_value = mcnemar_exact(pairs)
    outcome = _outcome(difference, lower, upper, margin, shown=p_value < _SIGNIFICANT)
    needed = examples_to_settle(pairs, margin) if outcome == "inconclusive" else None
    return Check(
        kind="accuracy",
        outcome=outcome,
        line=(
            f"{_bounds(difference, lower, upper, margin)} on {pairs.count:,.0f} examples: {pairs.gained:.0f} gained, "
            f"{pairs.lost:.0f} lost, McNemar's exact p = {p_value:.2g}"
        ),
        settle=_settle(int(pairs.count), needed) if outcome == "inconclusive" else None,
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


def _score(answered: Answered, task: Task, metric: str, margin: float) -> Check:
    try:
        paired = answered.scores(task, metric)
    except ValueError as error:
        raise UsageError(f"{metric}: {error}", cure="score it on more examples") from None
    difference, lower, upper = paired.difference, paired.lower(), paired.upper()
    shown = paired.upper(1 - _SIGNIFICANT / 2) < 0
    outcome = _outcome(difference, lower, upper, margin, shown=shown)
    needed = paired.examples_to_settle(margin) if outcome == "inconclusive" else None
    return Check(
        kind="score",
        outcome=outcome,
        line=(
            f"{metric} {100 * paired.new:.2f}, was {100 * paired.old:.2f}: "
            f"{_bounds(difference, lower, upper, margin)} on {paired.count:,} examples, by paired bootstrap"
        ),
        settle=_settle(paired.count, needed) if outcome == "inconclusive" else None,
        values={
            "difference": difference,
            "lower": lower,
            "upper": upper,
            "margin": margin,
            "old": paired.old,
            "new": paired.new,
            "examples": paired.count,
            "examples_to_settle": needed,
        },
    )


def _outcome(difference: float, lower: float, upper: float, margin: float, *, shown: bool) -> Outcome:
    if lower > -margin:
        return "pass"
    return "fail" if upper < -margin or (difference < -margin and shown) else "inconclusive"


def _bounds(difference: float, lower: float, upper: float, margin: float) -> str:
    return (
        f"{_points(difference)} points (one-sided 95 % bounds {_points(lower)} and {_points(upper)}; "
        f"{100 * margin:.3g} may be lost)"
    )


def _settle(count: int, needed: int | None) -> str:
    if needed is None:
        return "the loss sits on the margin itself, where no number of examples decides: choose another margin"
    return (
        f"about {max(needed - count, 1):,} examples more ({needed:,} in all) would settle it, should the difference "
        "stay as it is; or a wider margin"
    )


def _points(share: float) -> str:
    return f"{100 * share:+.2f}"

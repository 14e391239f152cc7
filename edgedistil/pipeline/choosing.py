"""Which of a bundle's quantised files is the better one: those that keep the score, by their time on the device."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from edgedistil.bench.measurement import Measurement
from edgedistil.bundle.formats import FORMATS, RUNTIME_TITLES
from edgedistil.bundle.read import Bundle
from edgedistil.bundle.records import check, read_json
from edgedistil.export.search.choice import choose
from edgedistil.export.search.engine import Winner, nearest_of
from edgedistil.export.search.records import SearchLog, Trial, told_drop
from edgedistil.report.trials import TRIALS_NAME


def quantised_lines(bundle: Bundle, measurements: Sequence[Measurement]) -> list[str]:
    """Returns a line a container that says which of its quantised files is the better; none without a target.

    Files are compared in the runtime that is fastest for each; on an emulated device by their instructions.

    Args:
        bundle: What ships.
        measurements: Of one interleaved session on the target device; empty before the bench.
    """
    path = bundle.folder / TRIALS_NAME
    if not path.is_file():
        return []
    log = check(read_json(path, what="log of trials"), SearchLog, where=str(path))
    shipped = {trial.scheme: trial for trial in log.trials if trial.holds and trial.scheme in bundle.formats}
    containers = dict.fromkeys(name.partition("-")[0] for name in shipped)
    lines = [
        _line([trial for trial in shipped.values() if trial.scheme.startswith(container)], bundle, log, measurements)
        for container in containers
    ]
    return [*lines, *_missing(bundle, log)]


def form_lines(forms: Mapping[str, Mapping[str, float | None]]) -> list[str]:
    """Returns a line that says which files are smoothed, and how near either form is; none where there was no choice.

    Args:
        forms: By format, the mean differences of a logit from fp32's: `plain` and `smoothed`, and which is `smooth`.
    """
    told = [
        f"{FORMATS[name].title} {'smoothed' if form['smooth'] else 'as it is'} "
        f"({_distance(form['smoothed'])} against {_distance(form['plain'])})"
        for name, form in forms.items()
    ]
    return [f"quantise: logits' distance from fp32, smoothed against as it is: {'; '.join(told)}"] if told else []


def _distance(value: float | None) -> str:
    return "does not run" if value is None else f"{value:.2g}"


def _missing(bundle: Bundle, log: SearchLog) -> list[str]:
    held = {trial.scheme for trial in log.trials if trial.holds}
    missed = dict.fromkeys(trial.scheme for trial in log.trials if trial.scheme not in held)
    return [
        f"quantise: {FORMATS[name].title} {_why_not(name, log)}, "
        f"{'and ships anyway' if name in bundle.formats else 'and does not ship'}"
        for name in missed
    ]


def _why_not(name: str, log: SearchLog) -> str:
    if nearest_of(log, name) is None:
        return next(trial.fault or "" for trial in log.trials if trial.scheme == name).removeprefix("it ")
    return f"is not within {log.max_drop:g} of fp32"


def _line(trials: Sequence[Trial], bundle: Bundle, log: SearchLog, measurements: Sequence[Measurement]) -> str:
    fastest = {trial.scheme: found for trial in trials if (found := _fastest(bundle, trial.scheme, measurements))}
    measured = [trial for trial in trials if trial.scheme in fastest]
    if not measured:
        return "quantise: " + "; ".join(_told(trial, log) for trial in trials)
    scheme_of = {bundle.path(trial.scheme): trial.scheme for trial in measured}

    def latency(paths: Sequence[Path]) -> list[float]:
        return [_cost(fastest[scheme_of[path]]) for path in paths]

    best = choose([Winner(trial, bundle.path(trial.scheme)) for trial in measured], log.max_drop, latency).winner.trial
    others = [fastest[trial.scheme] for trial in measured if trial is not best]
    against = f" against {', '.join(_figure(other) for other in others)}" if others else ""
    better = "is the better: " if others else ""
    return (
        f"quantise: {_told(best, log, fastest[best.scheme].runtime)}; {better}{_figure(fastest[best.scheme])}{against}"
    )


def _told(trial: Trial, log: SearchLog, timed: str = "") -> str:
    """Returns what a file loses, and in which runtime that was found where another one gives its time."""
    scored = log.runtimes.get(trial.scheme, FORMATS[trial.scheme].runtime)
    where = f" in {RUNTIME_TITLES[scored]}" if timed and timed != scored else ""
    kept = f" with {', '.join(trial.kept)} in higher precision" if trial.kept else ""
    drop = trial.drop or 0.0
    said = f"{told_drop(drop)} below fp32" if drop > 0 else "nothing below fp32"
    return f"{FORMATS[trial.scheme].title_in(scored)}{kept}, {said}{where}"


def _fastest(bundle: Bundle, name: str, measurements: Sequence[Measurement]) -> Measurement | None:
    made = [one for one in measurements if one.format == name and one.bundle == bundle.manifest.name and _known(one)]
    return min(made, key=_cost, default=None)


def _known(made: Measurement) -> bool:
    return made.p50_ms is not None or made.instructions is not None


def _cost(made: Measurement) -> float:
    if made.p50_ms is not None:
        return made.p50_ms.value
    return float((made.instructions or {})["total"])


def _figure(made: Measurement) -> str:
    title = FORMATS[made.format].title_in(made.runtime)
    unit = f"{_cost(made):.3g} ms" if made.p50_ms is not None else f"{_cost(made) / 1e6:.3g} M instructions"
    return f"{title} {unit}"

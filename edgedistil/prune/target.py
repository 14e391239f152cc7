"""Asked and answered: a model pruned to a target, measured, and once more where it missed.

A clock wavers, so that a time is met within a tolerance and looked for twice at most. A file's size is what it is: one
that is too large is made smaller until it fits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from edgedistil.errors import UsageError
from edgedistil.models.configuration import EdgeBertConfig
from edgedistil.models.modelling import EdgeBertForSequenceClassification
from edgedistil.progress import Progress, SilentProgress
from edgedistil.prune.costs import CostModel, FileSize, Latency, allowance, cost_model, model_cost
from edgedistil.prune.moments import Batch
from edgedistil.prune.prune import PruneResult, Scores, prune, score_model
from edgedistil.prune.settings import SHARES, PruneSettings

# Of the 8 % that are promised: models of the same sizes were 3.66 to 3.90 times as fast in four sessions of one day.
TOLERANCE = 0.02
_APART = 0.2
_FORETOLD = 0.02
_SEARCHES, _SEARCHES_OF_SIZE = 2, 4

Measure = Callable[[Sequence[EdgeBertForSequenceClassification]], list[float]]
"""From models to what each costs, in the budget's unit, all measured in one interleaved session."""


@dataclass(frozen=True)
class Attempt:
    """One search and what came of it, in the budget's unit.

    Attributes:
        predicted: What the smaller model was said to cost.
        measured: What it costs.
        before: What the larger model costs, measured in the same session.
        offset: What the prediction had added to the table's word.
    """

    predicted: float
    measured: float | None
    before: float | None
    offset: float


@dataclass(frozen=True)
class Answer:
    """What was asked for and what was got.

    Attributes:
        result: The pruned model.
        asked: The amount, in the words of the budget: milliseconds, megabytes, times faster, or a share.
        budget: Its kind.
        attempts: Every search, in order.
        costs: What the result's search counted in, corrected where it was.
        chosen: Whose model is the result: the nearest to the target.
    """

    result: PruneResult
    asked: float
    budget: str
    attempts: list[Attempt]
    costs: CostModel
    chosen: int = -1

    def _said(self, cost: float, before: float) -> float:
        return before / cost if self.budget == "speedup" else cost

    @property
    def predicted(self) -> float:
        """What was predicted of the result, in the unit of `asked`."""
        if self.budget in SHARES:
            return self.result.share
        return self._said(self.result.predicted, self.result.before)

    @property
    def measured(self) -> float | None:
        """What was measured of the result, in the unit of `asked`; None where nothing was."""
        found = self.attempts[self.chosen]
        if found.measured is None or found.before is None:
            return None
        return self._said(found.measured, found.before)

    @property
    def miss(self) -> float | None:
        """How much more it costs than asked for, as a share; below 0 where it costs less. None if not measured."""
        if self.measured is None:
            return None
        return (self.asked / self.measured if self.budget == "speedup" else self.measured / self.asked) - 1

    def line(self) -> str:
        """Says it in one line."""
        unit = {"latency_ms": f" {self.result.unit}", "size_mb": " MB", "speedup": "x"}.get(self.budget, "")
        said = f"asked {self.asked:.3g}{unit}, predicted {self.predicted:.3g}{unit}"
        if self.measured is None or self.miss is None:
            return said
        return f"{said}, measured {self.measured:.3g}{unit} ({100 * self.miss:+.1f} %)"


def check_target(config: EdgeBertConfig, settings: PruneSettings, costs: CostModel | None) -> None:
    """Refuses a target that no pruning reaches, from the sizes alone: before anything is trained.

    Args:
        config: Of the model to be pruned, as it will be.
        settings: The budget.
        costs: What it is counted in.

    Raises:
        UsageError: When it is impossible; the line names the nearest target that is not.
    """
    allowance(settings, cost_model(settings, costs), config)


def _settled(answer: Answer) -> bool:
    """Tells whether another search finds nothing nearer: a hit, or a table that was right and blocks too coarse."""
    if answer.miss is None or answer.measured is None:
        return True
    if _too_large(answer):
        return False
    if abs(answer.miss) <= TOLERANCE:
        return True
    spared = not any(answer.result.levels) and answer.miss < 0
    return spared or abs(answer.predicted / answer.measured - 1) <= _FORETOLD


def _too_large(answer: Answer) -> bool:
    return answer.budget == "size_mb" and answer.miss is not None and answer.miss > 0


def _nearest(answers: Sequence[Answer]) -> Answer:
    """Returns the answer that missed by least, a file that fits before any other.

    Where the clock wavered, that may be an uncorrected one.
    """
    return min(answers, key=lambda answer: (_too_large(answer), abs(answer.miss or 0.0)))


def _of_whole(settings: PruneSettings, costs: CostModel, whole: EdgeBertConfig) -> PruneSettings:
    """Returns a speedup as the latency that it comes to, whichever smaller model it is then reached from."""
    if settings.budget != "speedup":
        return settings
    return replace(settings, budget="latency_ms", amount=model_cost(costs, whole) / settings.amount)


def _corrected(costs: CostModel, raw: PruneResult, after: float, before: float) -> CostModel:
    """Returns costs that would have predicted what was measured of both models.

    A device at another speed than when its table was made scales all costs, and what the table left out shifts them:
    the line through both models. Two models that are nearly alike tell no slope; then the whole is taken to scale.
    """
    if isinstance(costs, Latency):
        first, last = ((cost - costs.offset) / costs.scale for cost in (raw.before, raw.predicted))
        scale = before / first
        if first - last > _APART * first and before > after:
            scale = (before - after) / (first - last)
        return replace(costs, scale=scale, offset=after - scale * last)
    if isinstance(costs, FileSize):
        return replace(costs, overhead=costs.overhead + (after - raw.predicted) * 1e6)
    return costs


def prune_to_target(
    model: EdgeBertForSequenceClassification,
    batches: Sequence[Batch],
    settings: PruneSettings,
    costs: CostModel | None = None,
    measure: Measure | None = None,
    progress: Progress | None = None,
    scores: Scores | None = None,
    whole: EdgeBertForSequenceClassification | None = None,
) -> Answer:
    """Prunes a model to a target, measures it, and searches once more when it missed by more than 2 %.

    A file that is larger than asked for is searched anew up to three times.

    Args:
        model: The model; it is left as it is.
        batches: Calibration text, with labels for a score that learns from them.
        settings: The budget and how to spend it.
        costs: What it is counted in.
        measure: Makes files of models and measures them; None believes the prediction.
        progress: Where to report.
        scores: What `score_model` found for the same model and settings.
        whole: The model that a speedup is counted from, where that is not the model itself but one it was pruned from.

    Raises:
        UsageError: When the target is impossible.
    """
    whole = whole or model
    progress = progress or SilentProgress()
    found = cost_model(settings, costs)
    check_target(whole.config, settings, found)
    scores = scores or score_model(model, batches, settings, progress)
    attempts: list[Attempt] = []
    answers: list[Answer] = []
    searches = _SEARCHES_OF_SIZE if settings.budget == "size_mb" else _SEARCHES
    while True:
        result = prune(model, batches, _of_whole(settings, found, whole.config), progress, costs=found, scores=scores)
        result = replace(result, before=model_cost(found, whole.config))
        offset = found.offset if isinstance(found, Latency) else 0.0
        if measure is None or settings.budget in SHARES:
            attempts.append(Attempt(result.predicted, None, None, offset))
            return Answer(result, settings.amount, settings.budget, attempts, found)
        before, after = measure([whole, result.model])
        attempts.append(Attempt(result.predicted, after, before, offset))
        answers.append(Answer(result, settings.amount, settings.budget, attempts, found, len(attempts) - 1))
        if _settled(answers[-1]) or len(answers) == searches:
            return _nearest(answers)
        progress.say(f"{answers[-1].line()}: the prediction is corrected and searched once more")
        found = _corrected(found, result, after, before)
        try:
            check_target(whole.config, settings, found)
        except UsageError as error:
            # What was learnt too late to spare the training: the model at hand is the nearest there is.
            progress.say(error.line())
            return _nearest(answers)


def prune_family(
    model: EdgeBertForSequenceClassification,
    targets: Sequence[float],
    settings: PruneSettings,
    step: Callable[[EdgeBertForSequenceClassification, PruneSettings], Answer],
    recover: Callable[[EdgeBertForSequenceClassification, float], EdgeBertForSequenceClassification] | None = None,
) -> list[Answer]:
    """Prunes to several speedups, each from the last: a family of models, or a gradual way to the last.

    Args:
        model: The model that the first is made from.
        targets: Rising speedups.
        settings: How to prune; its budget is replaced.
        step: Prunes a model to a target's speedup, with `prune_to_target` and the first model as its `whole`.
        recover: Trains a member before the next is made from it.

    Returns:
        An answer a target, in order; each result's model is the recovered one.
    """
    answers, current = [], model
    for target in targets:
        answer = step(current, replace(settings, budget="speedup", amount=target))
        current = recover(answer.result.model, target) if recover else answer.result.model
        answers.append(replace(answer, result=replace(answer.result, model=current)))
    return answers

"""Running a plan: each stage reused or done, then the results put where a person looks for them."""

from __future__ import annotations

import time
from dataclasses import dataclass

from edgedistil.pipeline.budget import check_budget
from edgedistil.pipeline.cache import Finished
from edgedistil.pipeline.estimate import Speeds, human_time
from edgedistil.pipeline.plan import Plan, plan_recipe
from edgedistil.pipeline.processes import is_main
from edgedistil.pipeline.publish import Published, publish, publish_encoder
from edgedistil.pipeline.stages.latency_table import NAME as LATENCY_TABLE
from edgedistil.pipeline.stages.vocabulary import NAME as VOCABULARY
from edgedistil.progress import Progress


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        plan: What was run.
        finished: Each stage's result, by name; without those that were not needed.
        published: What lies in the workspace; None when the run stopped before there was a bundle.
        seconds: Time this run took.
    """

    plan: Plan
    finished: dict[str, Finished]
    published: Published | None
    seconds: float


def run_plan(plan: Plan, progress: Progress) -> Outcome:
    """Runs a plan's stages in order; what is done already is reused.

    Raises:
        EdgeDistilError: From the first stage that fails; those before it are kept.
    """
    with plan.build.cache.used():
        return _run(plan, progress)


def _run(plan: Plan, progress: Progress) -> Outcome:
    cache, speeds = plan.build.cache, Speeds(plan.build.cache.root)
    started = time.monotonic()
    finished: dict[str, Finished] = {}
    for number, stage in enumerate(plan.stages, start=1):
        head = f"[{number}/{len(plan.stages)}] {stage.name}"
        if cache.find(stage) is None:
            if not plan.needs(stage):
                progress.say(f"{head}: not needed")
                continue
            progress.say(f"{head}: about {human_time(speeds.seconds(stage))}")
            if stage.name == "bench":
                # A bench may fail on its device, or be stopped: what is whole before it is there all the same.
                _publish(plan, finished)
        done = cache.run(stage, progress)
        finished[stage.name] = done
        if done.reused:
            progress.say(f"{head}: reused{_missing(done)}")
        else:
            if is_main():
                speeds.learn(stage, done.seconds)
            progress.say(f"{head}: done in {human_time(done.seconds)}{_score(done)}")
            if "answer" in done.summary:
                progress.say(f"  {done.summary['answer']['line']}")
        if stage.name in (LATENCY_TABLE, VOCABULARY):
            check_budget(plan.build)
    published = _publish(plan, finished)
    if plan.goal.name == "general" and is_main():
        with cache.publishing():
            place = publish_encoder(plan.build.workspace.run_folder(plan.build.recipe.name), finished["general"])
        progress.say(f"encoder: {place}")
    return Outcome(plan, finished, published, time.monotonic() - started)


def _publish(plan: Plan, finished: dict[str, Finished]) -> Published | None:
    if "export" not in finished or not is_main():
        return None
    recipe = plan.build.recipe
    with plan.build.cache.publishing():
        return publish(plan.build.workspace.run_folder(recipe.name), finished, recipe.model_dump(mode="json"))


def _missing(done: Finished) -> str:
    """Returns what a bench that is reused could not measure, and how to try again."""
    failures = done.summary.get("failures") if done.name == "bench" else None
    again = f"to try again: edgedistil cache rm {done.key[:16]}"
    return f"; not measured then: {'; '.join(failures)} ({again})" if failures else ""


def _score(done: Finished) -> str:
    metric = done.summary.get("metric", "accuracy")
    value = done.summary.get(f"dev_{metric}")
    if value is None:
        return ""
    return f", dev accuracy {100 * value:.1f} %" if metric == "accuracy" else f", dev {metric} {value:.3f}"


__all__ = ["Outcome", "plan_recipe", "run_plan"]

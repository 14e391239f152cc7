"""Running a plan: each stage reused or done, then the results put where a person looks for them."""

from __future__ import annotations

import time
from dataclasses import dataclass

from edgedistil.pipeline.cache import Finished
from edgedistil.pipeline.estimate import Speeds, human_time
from edgedistil.pipeline.plan import Plan, plan_recipe
from edgedistil.pipeline.publish import Published, publish
from edgedistil.progress import Progress


@dataclass(frozen=True)
class Outcome:
    """What a run came to.

    Attributes:
        plan: What was run.
        finished: Each stage's result, by name.
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
    cache, speeds = plan.build.cache, Speeds(plan.build.cache.root)
    started = time.monotonic()
    finished: dict[str, Finished] = {}
    for number, stage in enumerate(plan.stages, start=1):
        head = f"[{number}/{len(plan.stages)}] {stage.name}"
        if cache.find(stage) is None:
            progress.say(f"{head}: about {human_time(speeds.seconds(stage))}")
        done = cache.run(stage, progress)
        finished[stage.name] = done
        if done.reused:
            progress.say(f"{head}: reused")
        else:
            speeds.learn(stage, done.seconds)
            progress.say(f"{head}: done in {human_time(done.seconds)}{_score(done)}")
    published = None
    if "export" in finished:
        published = publish(plan.build.workspace.run_folder(plan.build.recipe.name), finished)
    return Outcome(plan, finished, published, time.monotonic() - started)


def _score(done: Finished) -> str:
    accuracy = done.summary.get("dev_accuracy")
    return f", dev accuracy {100 * accuracy:.1f} %" if accuracy is not None else ""


__all__ = ["Outcome", "plan_recipe", "run_plan"]

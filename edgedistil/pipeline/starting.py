"""The student of a recipe before its training: of the teacher's layers, or of another checkpoint's."""

from __future__ import annotations

from typing import Any

import torch

from edgedistil.distil.student import make_student
from edgedistil.models import EdgeBertHeadModel
from edgedistil.models.convert import from_checkpoint
from edgedistil.pipeline.stages.context import Build


def first_student(build: Build, teacher: EdgeBertHeadModel) -> EdgeBertHeadModel:
    """Returns a recipe's student as its training finds it, with the teacher's head where that fits its width.

    Args:
        build: The recipe; `student.start` names whose layers it is made of, if not the teacher's.
        teacher: With the head of the task, or that for masked words.

    Raises:
        UsageError: When neither can give such a student.
    """
    config, shape = teacher.config, student_shape(build)
    joined = build.recipe.joined_layers if config.head == "token" else 1
    if build.start is None:
        return make_student(teacher, joined_layers=joined, **shape)
    with torch.random.fork_rng(devices=[]):
        # A head that the checkpoint has not got is drawn.
        torch.manual_seed(build.recipe.seed)
        source = from_checkpoint(
            build.start.folder,
            list(config.id2label.values()) if config.head != "masked-lm" else None,
            config.head,
            config.problem,
        )
    student = make_student(source, joined_layers=joined, **shape)
    if student.config.hidden_size == config.hidden_size:
        _take_head(student, make_student(teacher, layers=joined, joined_layers=joined))
    return student


def _take_head(student: EdgeBertHeadModel, of: EdgeBertHeadModel) -> None:
    """Copies the parts that stand after the encoder."""
    for name, part in student.named_children():
        if name != "encoder" and student.config.head != "masked-lm":
            part.load_state_dict(of.get_submodule(name).state_dict())


def student_shape(build: Build) -> dict[str, Any]:
    """Returns the keywords that make a recipe's student of its teacher, or of its start."""
    student = build.recipe.student
    sizes = {"hidden_size": student.hidden_size, "heads": student.heads, "ffn": student.ffn}
    same = not any(sizes.values())
    return {
        "layers": student.layers,
        "choose": student.take,
        "init": "teacher" if same and student.init == "projected" else student.init,
        "seed": build.recipe.seed,
        **sizes,
    }

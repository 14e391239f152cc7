"""What every stage is built from: the recipe, its workspace, the teacher's shape, the size of the data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgedistil.checkpoint import read_config
from edgedistil.data.sources import Source, open_source
from edgedistil.errors import UsageError
from edgedistil.hashing import hash_file
from edgedistil.pipeline.cache import StageCache
from edgedistil.pipeline.checkpoint_source import CheckpointSource, open_source_of
from edgedistil.recipe.load import Workspace
from edgedistil.recipe.schema import Distil, FineTune, Recipe
from edgedistil.tasks import get_task, pair_column
from edgedistil.tokeniser import read_tokeniser

if TYPE_CHECKING:
    from edgedistil.data.prepare import PreparedData
    from edgedistil.pipeline.latency_tables import Place

_TOKENS_GUESS = 28
# A window over a passage behind its question.
_SPAN_TOKENS_GUESS = 180
_BYTES_A_TOKEN = 4.5
# What gzip makes of plain text.
_GZIPPED = 0.4
# A passage is asked about this often, its own tokens each time.
_QUESTIONS = 9
_DEV_GUESS = 1000


@dataclass(frozen=True)
class PlainText:
    """Unlabelled text that a recipe names.

    Attributes:
        path: As the recipe has it.
        column: Key or column of the text.
        pair: Key or column of each pair's second text; None for texts that stand alone.
        limit: Texts that are read; None for all.
    """

    path: str
    column: str
    pair: str | None
    limit: int | None


@dataclass(frozen=True)
class Build:
    """A recipe on its way to a plan.

    Attributes:
        recipe: The checked recipe.
        workspace: Where its paths start.
        cache: Where its stages are kept.
    """

    recipe: Recipe
    workspace: Workspace
    cache: StageCache

    @cached_property
    def teacher(self) -> CheckpointSource:
        """Returns the teacher's checkpoint, fetched when it is not on this machine."""
        return open_source_of(self.recipe.teacher, self.workspace, self.cache.downloads, "teacher")

    @cached_property
    def start(self) -> CheckpointSource | None:
        """Returns the checkpoint that the student starts as, if that is not the teacher.

        Raises:
            UsageError: When its tokeniser knows other word pieces than the teacher's.
        """
        if self.recipe.student.start is None:
            return None
        found = open_source_of(self.recipe.student.start, self.workspace, self.cache.downloads, "student.start")
        pieces = [read_tokeniser(folder).get_vocab() for folder in (found.folder, self.teacher.folder)]
        if pieces[0] != pieces[1]:
            raise UsageError(
                "its vocabulary is not the teacher's",
                where=str(found.folder),
                cure="name a student.start with the teacher's tokeniser, or leave it out",
            )
        return found

    @cached_property
    def source(self) -> Source:
        """Returns the source of examples."""
        return open_source(self.recipe.examples, self.workspace, self.cache.downloads, get_task(self.recipe.task))

    @cached_property
    def examples(self) -> str:
        """Returns the fingerprint of the examples, which every stage after them asks for: read once a plan."""
        return self.source.fingerprint()

    @cached_property
    def tokeniser(self) -> str:
        """Returns the hash of the teacher's tokeniser."""
        return self.hash_of(self.teacher.folder / "tokenizer.json")

    def hash_of(self, path: Path) -> str:
        """Returns the hash of a file as it was when a stage of this plan first asked."""
        if path not in self._hashes:
            self._hashes[path] = hash_file(path)
        return self._hashes[path]

    @cached_property
    def _hashes(self) -> dict[Path, str]:
        return {}

    @cached_property
    def _rows(self) -> dict[str, int]:
        return self.source.estimate_rows()

    @cached_property
    def teacher_config(self) -> dict[str, Any]:
        """Returns the teacher's `config.json`."""
        return read_config(self.teacher.folder)

    @cached_property
    def start_config(self) -> dict[str, Any]:
        """Returns the `config.json` of what the student starts as, whose widths it takes."""
        return read_config(self.start.folder) if self.start else self.teacher_config

    @property
    def teacher_layers(self) -> int:
        """Returns the teacher's number of layers."""
        return layers_of(self.teacher_config)

    @property
    def hidden_size(self) -> int:
        """Returns the teacher's hidden size."""
        return int(self.teacher_config.get("hidden_size") or self.teacher_config["dim"])

    @cached_property
    def place(self) -> Place:
        """Returns where latency is counted: the recipe's device, looked at once for all stages."""
        from edgedistil.pipeline.latency_tables import place_of

        return place_of(self)

    def tokens(self, split: str = "train") -> float:
        """Returns the tokens of a split: counted once the data stage has run, guessed before."""
        prepared = self._prepared
        rows = self._rows.get(split, _DEV_GUESS) if prepared is None else prepared.counts.get(split, 0)
        return rows * self.tokens_a_text

    @property
    def tokens_a_text(self) -> float:
        """Returns the mean tokens of a training text: counted once the data stage has run, guessed before."""
        if prepared := self._prepared:
            return prepared.mean_tokens
        usual = _SPAN_TOKENS_GUESS if get_task(self.recipe.task).kind == "span" else _TOKENS_GUESS
        return float(min(usual, self.recipe.max_length))

    @property
    def _prepared(self) -> PreparedData | None:
        from edgedistil.data.prepare import PreparedData
        from edgedistil.pipeline.stages.data import data_stage

        done = self.cache.find(data_stage(self))
        return PreparedData.load(done.folder) if done else None

    def text_of(self, settings: Distil) -> PlainText | None:
        """Returns the unlabelled text that a training follows the teacher over: its own, or else that of `distil`."""
        named = settings if settings.unlabelled else self.recipe.distil
        if named.unlabelled is None:
            return None
        pair = self._second_column(named.unlabelled_pair)
        return PlainText(named.unlabelled, named.unlabelled_column, pair, named.unlabelled_limit)

    def _second_column(self, asked: str | None) -> str | None:
        """Returns the column of an unlabelled row's second text: as asked for, else as the task's own data has it.

        Raises:
            UsageError: When one is asked for and the task's rows have one text.
        """
        task = get_task(self.recipe.task)
        own = pair_column(task, self.recipe.examples)
        if asked and own is None and task.kind != "span":
            raise UsageError(
                f"'unlabelled_pair' names a second text, and a row of {task.name} has one here",
                where=f"recipe '{self.recipe.name}'",
                cure="leave it out, or name data.text_pair as well" if task.kind == "value" else "leave it out",
            )
        if asked or own is None:
            return asked
        return own.wanted if isinstance(own.wanted, str) else own.wanted[0]

    def unlabelled_tokens(self, settings: Distil) -> float:
        """Returns the tokens of a training's unlabelled text; 0 without.

        They are counted once the stage has read it, and guessed by the size of its file before.
        """
        from edgedistil.pipeline.stages.text import unlabelled_inputs

        text = self.text_of(settings)
        path = self.workspace.resolve(text.path) if text else None
        if text is None or path is None or not path.is_file():
            return 0.0
        done = self.cache.find(unlabelled_inputs(self, settings)["unlabelled"])
        if done:
            return float(done.summary["tokens"])
        tokens = path.stat().st_size / _BYTES_A_TOKEN / (_GZIPPED if path.suffix == ".gz" else 1.0)
        if text.limit:
            tokens = min(tokens, text.limit * self.recipe.max_length)
        asked = get_task(self.recipe.task).kind == "span" and text.pair is None
        return tokens * (_QUESTIONS if asked else 1)

    def forward(self, layers: int, tokens: float) -> float:
        """Returns the operations of running encoder layers over tokens once (2 a weight and token)."""
        named = self.teacher_config
        ffn = int(named.get("intermediate_size") or named.get("hidden_dim") or max(named.get("ffn", [0])))
        return 2.0 * tokens * layers * self.hidden_size * (4 * self.hidden_size + 2 * ffn)

    def training(self, layers: int, settings: FineTune, *, following: bool = False) -> float:
        """Returns the operations of a training run: forward and backward (3 forwards), and the dev scores.

        Args:
            layers: Of the model that is trained.
            settings: Its epochs and evaluations.
            following: Whether it follows the teacher over the unlabelled text as well.
        """
        more = self.unlabelled_tokens(settings) if following and isinstance(settings, Distil) else 0.0
        tokens = self.tokens() + more
        epochs = settings.all_epochs if isinstance(settings, Distil) else settings.epochs
        scores = max(1.0, epochs * settings.evaluations_per_epoch)
        return 3 * epochs * self.forward(layers, tokens) + scores * self.forward(layers, self.tokens("dev"))


def layers_of(config: Mapping[str, Any]) -> int:
    """Returns the number of layers of a checkpoint: `bert`, `distilbert` or one of ours, which lists heads a layer."""
    return int(config.get("num_hidden_layers") or config.get("n_layers") or len(config["heads"]))


def start_fingerprint(build: Build) -> dict[str, str]:
    """Returns what a student's key says of the checkpoint that it starts as; nothing where that is the teacher."""
    return {"start": build.start.fingerprint} if build.start else {}

"""The command line as a user types it: help, workspace, cache, and one line for each mistake."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import typing
from pathlib import Path

import pytest
from command import ROOT, typed
from tiny import sentences, write_teacher, write_tsv, write_workspace
from typer.testing import CliRunner

from edgedistil.cli.main import app
from edgedistil.recipe import load_recipe
from edgedistil.recipe.schema import Recipe

COMMANDS = [
    ["init"],
    ["run"],
    ["teacher"],
    ["general"],
    ["distil"],
    ["prune"],
    ["export"],
    ["predict"],
    ["bench"],
    ["baseline", "set"],
    ["gate"],
    ["report"],
    ["profile"],
    ["devices"],
    ["devices", "add"],
    ["devices", "check"],
    ["devices", "setup"],
    ["devices", "clean"],
    ["cache", "ls"],
    ["cache", "rm"],
    ["schema"],
]


def complaint(done: subprocess.CompletedProcess, code: int = 2) -> str:
    """Returns the one line that a refused command prints."""
    assert done.returncode == code, done.stdout + done.stderr
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("edgedistil: ")
    assert "Traceback" not in done.stdout
    return lines[0]


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("cli")
    write_workspace(root)
    return root


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_with_an_example(command: list[str]):
    result = CliRunner().invoke(app, [*command, "--help"])
    assert result.exit_code == 0
    assert "Example:" in result.output
    assert f"edgedistil {' '.join(command)}" in " ".join(result.output.split())


def test_version_and_schema(tmp_path: Path):
    assert typed(["--version"], tmp_path).stdout.strip() == "0.1.0"
    schema = json.loads(typed(["schema"], tmp_path).stdout)
    assert {"teacher", "student", "prune", "gate"} <= set(schema["properties"])


def test_the_command_line_starts_without_torch(tmp_path: Path):
    code = "import sys, edgedistil.cli.main; print({'torch', 'transformers', 'datasets', 'scipy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_init_writes_a_workspace_that_plans(tmp_path: Path):
    done = typed(["init", "ws", "--name", "reviews"], tmp_path)
    assert done.returncode == 0, done.stderr
    root = tmp_path / "ws"
    for path in ("export/reviews.yaml", "devices/local.yaml", "benchmarks/baselines/README.md"):
        assert (root / path).is_file()
    assert "${{ hashFiles" in (root / ".github/workflows/model-gate.yml").read_text(encoding="utf-8")
    assert "edgedistil run export/reviews.yaml" in done.stdout
    # Their own teacher and data, as a person would put in.
    write_teacher(root / "teacher")
    write_tsv(root / "data" / "train.tsv", sentences(100, 1))
    overrides = ["teacher.model=teacher", "teacher.sha256=null", "data={source: files, train: data/train.tsv}"]
    flags = [part for override in [*overrides, "student.layers=1"] for part in ("--set", override)]
    planned = typed(["run", "export/reviews.yaml", "--dry-run", "--json", *flags], root)
    assert planned.returncode == 0, planned.stderr
    assert [stage["name"] for stage in json.loads(planned.stdout)["stages"]][:2] == ["data", "teacher"]
    line = complaint(typed(["init", "ws", "--name", "reviews"], tmp_path))
    assert line == (
        "edgedistil: ws/export/reviews.yaml: the file is there already; nothing was written; choose another --name"
    )


def test_init_adds_a_recipe_to_a_workspace_and_keeps_what_is_there(tmp_path: Path):
    assert CliRunner().invoke(app, ["init", str(tmp_path)]).exit_code == 0
    (tmp_path / "devices" / "local.yaml").write_text("mine", encoding="utf-8")
    invoked = CliRunner().invoke(app, ["init", str(tmp_path), "--name", "tags", "--task", "token-classification"])
    assert invoked.exit_code == 0
    assert load_recipe(tmp_path / "export" / "tags.yaml").task == "token-classification"
    assert (tmp_path / "devices" / "local.yaml").read_text(encoding="utf-8") == "mine"
    assert f"kept {tmp_path}/devices/local.yaml, which was there already" in invoked.output


@pytest.mark.parametrize("task", typing.get_args(Recipe.model_fields["task"].annotation))
def test_init_writes_a_recipe_for_every_task(tmp_path: Path, task: str):
    from edgedistil.tasks import get_task

    invoked = CliRunner().invoke(app, ["init", str(tmp_path), "--task", task])
    assert invoked.exit_code == 0
    path = tmp_path / "export" / "my-model.yaml"
    recipe = load_recipe(path)
    assert recipe.task == task
    text = path.read_text(encoding="utf-8")
    for column in get_task(task).columns(recipe.examples):
        named = column.wanted if isinstance(column.wanted, str) else column.wanted[0]
        assert f"{column.key.removeprefix('data.')}: {named}" in text or task == "question-answering"
    assert recipe.examples.source == "movie-reviews" or "name your data in" in invoked.output


def test_init_where_no_folder_can_be_is_one_line(tmp_path: Path):
    (tmp_path / "file").touch()
    line = complaint(typed(["init", "file"], tmp_path), code=1)
    assert line.startswith("edgedistil: file/export/my-model.yaml: cannot write it (")


def test_init_without_such_a_task_is_one_line(tmp_path: Path):
    line = complaint(typed(["init", ".", "--task", "tagging"], tmp_path))
    assert line == (
        "edgedistil: --task: no task is named 'tagging'; choose one of: pair-classification, question-answering, "
        "regression, text-classification, token-classification"
    )
    assert not list(tmp_path.iterdir()), "nothing was written"


def test_devices_lists_the_profiles():
    listed = json.loads(typed(["devices", "--json"], ROOT).stdout)
    assert "local" in {profile["name"] for profile in listed}


def test_a_profile_that_comes_with_the_package_is_found_anywhere_and_copied_to_be_edited(tmp_path: Path):
    listed = json.loads(typed(["devices", "--json"], tmp_path).stdout)
    assert {"local", "pi5", "pi4", "cuda"} <= {profile["name"] for profile in listed}
    added = typed(["devices", "add", "pi5"], tmp_path)
    assert (added.returncode, added.stdout) == (0, "wrote devices/pi5.yaml\n")
    mine = tmp_path / "devices/pi5.yaml"
    mine.write_text(mine.read_text().replace("host: pi5", "host: kitchen"))
    (found,) = (p for p in json.loads(typed(["devices", "--json"], tmp_path).stdout) if p["name"] == "pi5")
    assert found["host"] == "kitchen", "the workspace's own goes before"
    assert "devices/pi5.yaml: the file is there already" in complaint(typed(["devices", "add", "pi5"], tmp_path))
    line = complaint(typed(["devices", "add", "pi55"], tmp_path))
    assert line == "edgedistil: no profile named 'pi55' comes with edgedistil; did you mean 'pi5'?"


def test_a_table_shows_texts_as_they_are(tmp_path: Path):
    (tmp_path / "devices").mkdir()
    (tmp_path / "devices/desk.yaml").write_text("kind: local\ndescription: the desk's [old]\n", encoding="utf-8")
    assert "the desk's [old]" in typed(["devices"], tmp_path).stdout
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/devices").touch()
    line = complaint(typed(["devices", "add", "pi5"], tmp_path / "elsewhere"), code=1)
    assert line.startswith("edgedistil: devices/pi5.yaml: cannot write it")


def test_cache_lists_and_removes(workspace: Path):
    assert typed(["teacher", "export/tiny.yaml", "--set", "teacher.fine_tune.epochs=0.1"], workspace).returncode == 0
    rows = json.loads(typed(["cache", "ls", "--json"], workspace).stdout)
    assert {row["name"] for row in rows} == {"data", "teacher"}
    assert "removed 1 stages" in typed(["cache", "rm", "teacher"], workspace).stdout
    for names, words in ((["data", "nothing"], "no stage is named nothing"), (["data", ""], "a name is empty")):
        assert words in complaint(typed(["cache", "rm", *names], workspace))
    assert len(json.loads(typed(["cache", "ls", "--json"], workspace).stdout)) == 1
    assert complaint(typed(["cache", "rm"], workspace))


def test_a_key_that_is_cut_too_short_removes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("EDGEDISTIL_CACHE", str(tmp_path))
    for name in ("data-a10f", "teacher-a2cc", "distil-b333", "distil-b444"):
        (tmp_path / "stages" / name).mkdir(parents=True)
    refused = CliRunner().invoke(app, ["cache", "rm", "distil", "a"])
    assert refused.exception.line() == (
        f"{tmp_path}: 2 keys begin with a; nothing was removed; see: edgedistil cache ls"
    )
    assert CliRunner().invoke(app, ["cache", "rm", "distil", "a1"]).stdout.startswith("removed 3 stages")
    assert [folder.name for folder in (tmp_path / "stages").iterdir()] == ["teacher-a2cc"]


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("prun.parameters=0.5", "unknown key 'prun'; did you mean 'prune'?"),
        ("teacher.fine_tune.epoch=1", "unknown key 'teacher.fine_tune.epoch'; did you mean 'epochs'?"),
        ("prune.parameters=0", "prune.parameters"),
        ("prune.parameters=1.5", "prune.parameters"),
        ("data.train=data/none.tsv", "no such data file"),
        ("bench.device=pi9", "no device named 'pi9'"),
        ("student.layers=9", "the teacher has 2 layers"),
        ("nonsense", "is not key=value"),
    ],
)
def test_bad_recipe_is_one_line(workspace: Path, override: str, words: str):
    assert words in complaint(typed(["run", "export/tiny.yaml", "--set", override], workspace))


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"label\ttext\npositive\tfine film\nnegative\t   \n", "train.tsv:3: the text is empty"),
        (b"label\ttext\npositive\tfine\npositive\tgreat\n", "one class is nothing to learn"),
        (b"label\ttext\npositive\tcaf\xe9\nnegative\tdull\n", "train.tsv:2: not UTF-8"),
        (b"", "the file is empty"),
        (b"labels\ttext\na\tb\n", "no column 'label' (data.label); the file has: labels, text; did you mean 'labels'?"),
    ],
    ids=["empty text", "one class", "not UTF-8", "empty file", "no such column"],
)
def test_bad_data_is_one_line(tmp_path: Path, content: bytes, words: str):
    write_workspace(tmp_path)
    (tmp_path / "data" / "train.tsv").write_bytes(content)
    done = typed(["teacher", "export/tiny.yaml", "--set", "data.dev=null", "--set", "data.test=null"], tmp_path)
    assert done.returncode == 2
    line = done.stderr.strip().splitlines()[-1]
    assert words in line
    assert line.startswith("edgedistil: ")
    assert "Traceback" not in done.stderr


def test_bad_paths_and_bundles_are_one_line(workspace: Path, tmp_path: Path):
    assert "did you mean 'tiny.yaml'?" in complaint(typed(["run", "export/tini.yaml"], workspace))
    assert "no such folder" in complaint(typed(["predict", "nowhere", "text"], tmp_path))
    assert "not a bundle" in complaint(typed(["bench", "."], tmp_path))
    assert "no measurements there" in complaint(typed(["report", "."], tmp_path))
    assert complaint(typed(["gate", ".", "--baseline", "none.json"], tmp_path))


def test_unknown_option_is_bad_usage(tmp_path: Path):
    done = typed(["run", "--nonsense"], tmp_path)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


def test_interrupted_run_says_that_it_goes_on(tmp_path: Path):
    write_workspace(tmp_path)
    command = [
        sys.executable,
        "-m",
        "edgedistil",
        "teacher",
        "export/tiny.yaml",
        "--set",
        "teacher.fine_tune.epochs=99",
    ]
    running = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, env=os.environ.copy())
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob(".edgedistil/partial/teacher-*/scratch/fine-tune")):
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "interrupted; the same command goes on" in errors
    assert "Traceback" not in errors

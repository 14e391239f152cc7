from __future__ import annotations

import pytest
from small_recipe import BASE, changed, line_of


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (BASE + "studnt: {layers: 3}", "recipe: unknown key 'studnt'; did you mean 'student'?"),
        (BASE + "student: {layer: 3}", "recipe: unknown key 'student.layer'; did you mean 'layers'?"),
        (
            BASE + "distil: {losses: {soft_target: 1}}",
            "recipe: unknown key 'distil.losses.soft_target'; did you mean 'soft_targets'?",
        ),
        (
            changed(prune={"parameters": 0.5, "recover": {"epoch": 1}}),
            "recipe: unknown key 'prune.recover.epoch'; did you mean 'epochs'?",
        ),
        (
            changed(teacher={"model": "t", "fine_tune": {"learning-rate": 1}}),
            "recipe: unknown key 'teacher.fine_tune.learning-rate'; did you mean 'learning_rate'?",
        ),
        (changed(prune={"parameters": 0}), "recipe: prune.parameters: input should be greater than 0, not 0"),
        (changed(prune={"macs": 1.5}), "recipe: prune.macs: input should be less than or equal to 1, not 1.5"),
        (changed(prune={"parameters": True}), "recipe: prune.parameters: input should be a valid number, not True"),
        (BASE + "distil: {patience: on}", "recipe: distil.patience: input should be a valid number, not True"),
        (changed(prune={"parameters": float("nan")}), "recipe: prune.parameters: input should be"),
        (changed(prune={"parameters": 0.5, "macs": 0.5}), "recipe: prune: name one budget: 'parameters' or 'macs'"),
        (changed(prune={}), "recipe: prune: name one budget: 'parameters' or 'macs'"),
        (
            changed(prune={"parameters": 0.5, "score": "obss"}),
            "recipe: prune.score: name a block score such as 'obs' (",
        ),
        (
            changed(prune={"parameters": 0.5, "recover": {"unlabelled_limit": 10}}),
            "recipe: prune.recover: 'unlabelled_limit' is about 'unlabelled': name that file too, or leave it out",
        ),
        (
            changed(distil={"patience": 2, "keep": "last"}),
            "recipe: distil: 'patience' waits for a better checkpoint, and 'keep: last' has none: leave one of",
        ),
        (
            changed(prune={"parameters": 0.5, "recover": {"teacher_outputs": "loop"}}),
            "recipe: prune.recover.teacher_outputs: recovery reads the outputs that distil made, as it has no",
        ),
        (
            changed(prune={"vocabulary": {"txt": "a"}}),
            "recipe: unknown key 'prune.vocabulary.txt'; did you mean 'text'?",
        ),
        (
            changed(quantise={"max_drop": 0.005}, export={"formats": ["onnx-fp32", "onnx-fp16"]}),
            "recipe: quantise.max_drop is asked for, and no int8 or int4 format is made: add one such as onnx-int8",
        ),
        (
            changed(quantise={"qat": {}}),
            "recipe: quantise.qat is asked for, whose ranges only static formats use, and none is made: add onnx-int8",
        ),
        (
            changed(quantise={"qat": {}, "backend": "neural-compressor"}, export={"formats": ["onnx-int8-static"]}),
            "recipe: quantise: 'qat' finds its ranges in training: leave out 'backend', or 'qat'",
        ),
        (
            changed(quantise={"smooth": True}, export={"formats": ["onnx-fp32", "tflite-int16-static"]}),
            "recipe: quantise.smooth is asked for, which only int8 formats use, and none is made: add one such as onnx",
        ),
        (
            changed(quantise={"smooth": True, "qat": {}}, export={"formats": ["onnx-int8", "tflite-int16-static"]}),
            "recipe: quantise.smooth is asked for, which only static int8 formats use here, and none is made: add one",
        ),
        (
            changed(quantise={"calibration": "entropy"}, export={"formats": ["onnx-int8", "tflite-int16-static"]}),
            "recipe: quantise.calibration is asked for, which only onnx-int8-static and tflite-int8-static use: add",
        ),
        (
            changed(quantise={"activations": "int8"}, export={"formats": ["onnx-int8"]}),
            "recipe: quantise.activations is asked for, which only onnx-int8-static uses: add onnx-int8-static to",
        ),
        (
            changed(export={"formats": ["onnx-int8", "onnx-fp32", "onnx-int8"]}),
            "recipe: export: formats names 'onnx-int8' more than once",
        ),
        (
            changed(quantise={"qat": {"ranges": "ema", "accumulate": 2}}, export={"formats": ["onnx-int8-static"]}),
            "recipe: quantise.qat: 'ranges: ema' averages whole batches: leave out 'accumulate', or choose learned",
        ),
        (
            changed(quantise={"smooth": "maybe"}),
            "recipe: quantise.smooth: input should be 'auto', True or False, not 'maybe'",
        ),
        (
            changed(quantise={"ship_anyway": True}),
            "recipe: quantise: 'ship_anyway' is about 'max_drop': name that too, such as 0.005",
        ),
        (
            "name: small\nteacher: {model: t}",
            "recipe: it has neither 'data' (a task's examples) nor 'general' (plain text to learn from)",
        ),
        (changed(teacher={}), "recipe: the key 'teacher.model' is missing; add it"),
        ("data: {train: a}", "recipe: the key 'name' is missing (and 1 more); add it"),
        (changed(teacher={"modl": "t"}), "recipe: unknown key 'teacher.modl' (and 1 more); did you mean 'model'?"),
        (BASE + "number: 3", "recipe: unknown key 'number'; did you mean 'name'?"),
        (changed(data={}), "recipe: data: source 'files' needs the key 'train'"),
        (changed(data={"source": "hub"}), "recipe: data: source 'hub' needs the key 'hub_id'"),
        (
            changed(data={"train": "a", "text_pair": "b"}),
            "recipe: data.text_pair is asked for, which text-classification does not read: leave it out, or choose",
        ),
        (
            changed(data={"train": "a", "stride": 64}, task="regression"),
            "recipe: data.stride is asked for, which regression does not read: leave it out, or choose task: question-",
        ),
        (
            changed(data={"source": "movie-reviews", "train": "a"}),
            "recipe: data: source 'movie-reviews' does not read the key 'train': leave it out, or choose another",
        ),
        (
            changed(data={"train": "a", "hub_id": "who/what"}),
            "recipe: data: source 'files' does not read the key 'hub_id': leave it out, or choose another source",
        ),
        (
            changed(data={"train": "a.txt", "train_labels": "b", "dev_labels": "c"}),
            "recipe: data: 'dev_labels' holds the labels of 'dev': name that file too, or leave it out",
        ),
        (changed(teacher={"model": "pypi:a==1#b"}), "recipe: teacher: a 'pypi:' model needs the key 'sha256'"),
        (BASE + "student: {layers: two}", "recipe: student.layers: input should be a valid integer"),
        (BASE + "student: {layers: 2.5}", "recipe: student.layers: input should be a valid integer"),
        (BASE + "student: 3", "recipe: student: input should be a valid dictionary or instance of Student, not 3"),
        (
            changed(data={"train": "a", "labels": ["b", "c", "b"]}),
            "recipe: data.labels: the label 'b' stands twice: name",
        ),
        (changed(data={"train": "a", "labels": "b"}), "recipe: data.labels: input should be a valid list, not 'b'"),
        (changed(data={"train": "a", "text": []}), "recipe: data.text: list should have at least 1 item"),
        (changed(data={"train": "a", "text": 3}), "recipe: data.text: input should be a valid string, not 3"),
        (
            changed(data={"train": "a", "label": ["b", 3]}),
            "recipe: data.label.1: input should be a valid string, not 3",
        ),
        (changed(data={"train": 3}), "recipe: data.train: input should be a valid string, not 3"),
        (
            changed(data={"train": "a", "labels": [False, True]}),
            "recipe: data.labels: the label False is no text: put it in quotes, as YAML reads numbers and",
        ),
        (BASE + "export: {formats: [onnx-fp33]}", "recipe: export.formats.0: input should be 'onnx-fp32', 'onnx-fp16'"),
        (BASE + "export: {formats: []}", "recipe: export.formats: list should have at least 1 item"),
        (BASE + "export: {sequence_lengths: [64, 32]}", "recipe: export: sequence_lengths must rise"),
        (BASE + "max_length: 256", "recipe: max_length 256 is above the longest TFLite signature (128)"),
        (BASE + "bench: {sequence_length: 256}", "recipe: bench.sequence_length 256 is above the longest of"),
        (
            BASE + "distil: {losses: {soft_targets: 0, hard_labels: 0, hidden_states: 0}}",
            "recipe: distil.losses: every loss has weight 0",
        ),
        (BASE + "seed: -1", "recipe: seed: input should be greater than or equal to 0, not -1"),
        (changed(name="Big Name"), "recipe: name: string should match pattern"),
        (
            BASE + "task: tagging",
            "recipe: task: input should be 'text-classification', 'pair-classification', 'regression', 'token-classifi",
        ),
        (BASE + "joined_layers: 2", "recipe: joined_layers is an option of the token-classification task's head"),
        (
            BASE + "task: token-classification\njoined_layers: 7",
            "recipe: joined_layers is 7, and the student has 6 layers",
        ),
        (changed(prune={"targets": [2, 1.5]}), "recipe: prune: targets must rise, such as [1.5, 2, 3]"),
        (changed(prune={"speedup": 0.5}), "recipe: prune.speedup: input should be greater than or equal to 1, not 0.5"),
        (changed(prune={"latency_ms": 2, "size_mb": 9}), "recipe: prune: name one budget: "),
        (BASE + "general: {column: text}", "recipe: the key 'general.text' is missing; add it"),
        (
            BASE + "general: {text: a.txt, losses: {cosin: 1}}",
            "recipe: unknown key 'general.losses.cosin'; did you mean 'cosine'?",
        ),
        (BASE + "1: 2", "recipe: 1: keys should be strings, not 1"),
    ],
)
def test_a_wrong_key_or_value_is_named(text: str, line: str):
    assert line_of(text).startswith(line)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        (BASE + "export: {formats: [onnx-fp33]}", "not 'onnx-fp33'; did you mean 'onnx-fp32'?"),
        (BASE + "task: text-clasification", "not 'text-clasification'; did you mean 'text-classification'?"),
        (BASE + "export: {formats: [xyz]}", "not 'xyz'"),
    ],
)
def test_of_a_long_list_the_nearest_is_named(text: str, end: str):
    assert line_of(text).endswith(end)


@pytest.mark.parametrize(
    ("distil", "line"),
    [
        ("losses: {relations: often}", "losses.relations: input should be a valid number, unable to parse"),
        ("losses: {relations: -1}", "losses.relations: input should be greater than or equal to 0, not -1"),
        ("losses: {relations: .inf}", "losses.relations: input should be a finite number, not inf"),
        ("losses: {relations: {start: 1}}", "the key 'distil.losses.relations.end' is missing; add it"),
        (
            "losses: {relations: {strt: 1, end: 0}}",
            "unknown key 'distil.losses.relations.strt' (and 1 more); did you mean 'start'?",
        ),
        (
            "losses: {relations: {start: 1, end: 0, shape: cubic}}",
            "losses.relations.shape: input should be 'linear', 'cosine' or 'step', not 'cubic'",
        ),
        (
            "losses: {relations: {start: 1, end: 0, from_share: 0.5, to_share: 0.5}}",
            "losses.relations: from_share must be below to_share",
        ),
        ("layer_map: skp", "layer_map: input should be 'alternate', 'skip' or 'last', not 'skp'"),
        ("layer_map: 3", "layer_map: input should be a valid list, not 3"),
        ("layer_map: [[1, x]]", "layer_map.0.1: input should be a valid integer"),
        ("stages: []", "stages: list should have at least 1 item"),
        ("stages: [{losses: {cosine: 1}}]", "the key 'distil.stages.0.epochs' is missing; add it"),
        ("stages: [{losses: {}, epochs: 1}]", "stages.0.losses: every loss has weight 0"),
        (
            "stages: [{losses: {cosine: 1}, epochs: 1}, {losses: {soft_target: 1}, epochs: 1}]",
            "unknown key 'distil.stages.1.losses.soft_target'; did you mean 'soft_targets'?",
        ),
    ],
)
def test_a_wrong_loss_schedule_map_or_stage_is_named(distil: str, line: str):
    expected = line if "key '" in line else f"distil.{line}"
    assert line_of(f"{BASE}distil: {{{distil}}}").startswith(f"recipe: {expected}")


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (BASE + "student: {layers: 3", "recipe:5: not valid YAML (expected ',' or '}'"),
        ("name: small\nseed: a: b\n", "recipe:2: not valid YAML (mapping values are not allowed here)"),
        ("name: small\nstudent:\n\tlayers: 3\n", "recipe:3: not valid YAML (found character '\\t'"),
        ("", "recipe: a recipe is a mapping of keys"),
        ("- a\n- b\n", "recipe: a recipe is a mapping of keys"),
        ("just words", "recipe: a recipe is a mapping of keys"),
        ("name: !!python/object:os.system x", "recipe:1: not valid YAML (could not determine a constructor"),
        ("name: 2020-99-99", "recipe: not valid YAML (month must be in 1..12)"),
        ("seed: !!int x", "recipe: not valid YAML (invalid literal for int()"),
        ("seed: !!float ''", "recipe: not valid YAML ("),
        ("seed: !!bool x", "recipe: not valid YAML ("),
        ("name: !!timestamp x", "recipe: not valid YAML ("),
        (BASE + "prune: {parameters: 0.9}\n", "recipe:5: not valid YAML (the key 'prune' is there twice)"),
        (
            "name: small\nstudent:\n  layers: 3\n  heads: 4\n  layers: 2\n",
            "recipe:5: not valid YAML (the key 'layers' is there twice)",
        ),
        ("[" * 3000, "recipe: not valid YAML (maximum recursion depth exceeded"),
        ("name: \x00", "recipe: not valid YAML (unacceptable character #x0000"),
    ],
)
def test_what_is_no_yaml_mapping_is_told_with_its_line(text: str, line: str):
    assert line_of(text).startswith(line)


def test_an_endless_value_is_told_in_short():
    assert len(line_of(BASE + f"student: {{layers: {'x' * 5000}}}")) < 250
    assert line_of(BASE + f"seed: 0x{'f' * 5000}").endswith("not a number that long")


@pytest.mark.parametrize(
    ("override", "line"),
    [
        ("prune", "--set 'prune' is not key=value; for example --set prune.parameters=0.4"),
        ("=3", "--set '=3' is not key=value"),
        ("name.x=3", "--set name.x=3: 'name' is not a section"),
        ("student.layerz=2", "recipe: unknown key 'student.layerz'; did you mean 'layers'?"),
        ("studnt.layers=2", "recipe: unknown key 'studnt'; did you mean 'student'?"),
        ("prune.parameters=2", "recipe: prune.parameters: input should be less than or equal to 1, not 2"),
        ("student.layers=[", "--set student.layers=[: not valid YAML"),
        ("seed=2020-99-99", "--set seed=2020-99-99: not valid YAML (month"),
        ("seed=!!int x", "--set seed=!!int x: not valid YAML (invalid literal"),
        (".=3", "recipe: unknown key ''; choose one of: bench, data,"),
    ],
)
def test_a_bad_override_is_named(override: str, line: str):
    assert line_of(BASE, (override,)).startswith(line)

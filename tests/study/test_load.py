from dataclasses import asdict
from pathlib import Path

import pytest

from fedhealth.study import Study, StudyError, builtin_studies, load_study, study_from_dict

VALID = """\
name = "mini"
title = "A small study"

[source]
hint = "make data"

[[outcome]]
name = "ill"
title = "illness"
threshold = 0.5

[[feature]]
name = "pulse"
title = "Pulse"
modality = "wearable"
kind = "number"
unit = "/min"
low = 25
high = 220

[[feature]]
name = "smoker"
title = "Smokes"
modality = "clinic"
kind = "flag"

[[feature]]
name = "pain"
title = "Chest pain"
modality = "clinic"
kind = "category"
levels = ["none", "some", "much"]

[[node]]
name = "north"
title = "North"
file = "north.csv"
features = ["pulse", "smoker"]
"""


def load(tmp_path: Path, text: str | bytes = VALID, outcome: str | None = None) -> Study:
    path = tmp_path / "mini.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return load_study(path, outcome)


def refusal(tmp_path: Path, old: str, new: str) -> str:
    """What loading says once ``old`` is ``new``; it must begin with the file."""
    assert VALID.count(old) >= 1
    with pytest.raises(StudyError) as caught:
        load(tmp_path, VALID.replace(old, new, 1))
    message = str(caught.value)
    assert message.startswith(f"{tmp_path / 'mini.toml'}: ")
    return message


def test_a_valid_study_loads_with_its_defaults(tmp_path):
    study = load(tmp_path)
    assert study.names == ("pulse", "smoker", "pain")
    assert study.features[0].low == 25.0
    assert isinstance(study.features[0].low, float)
    assert [f.column for f in study.features] == ["pulse", "smoker", "pain"]
    assert study.features[2].high == 2
    assert study.outcome.columns == ("ill",)
    assert (study.source.kind, study.source.header, study.policy) == ("tables", True, "default")


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('unit = "/min"', 'uint = "/min"', ["feature 'pulse'", "unknown key 'uint'", "unit"]),
        ('hint = "make data"', 'hints = "x"', ["[source]", "unknown key 'hints'", "hint"]),
        ('file = "north.csv"', 'files = "x"', ["node 'north'", "unknown key 'files'", "file"]),
        ("threshold = 0.5", "treshold = 0.5", ["outcome 'ill'", "unknown key 'treshold'", "threshold"]),
        ('name = "mini"', 'name = "mini"\ncolour = 1', ["unknown key 'colour'", "policy"]),
        ('name = "mini"', 'name = "mini"\nfeatures = 1', ["unknown key 'features'"]),
        ("low = 25", 'low = "25"', ["feature 'pulse'", "key 'low'", "'25' (str)", "int or float"]),
        ("low = 25", "low = true", ["feature 'pulse'", "key 'low'", "True (bool)", "int or float"]),
        ('title = "Pulse"', "title = 3", ["feature 'pulse'", "key 'title'", "3 (int)", "str"]),
        ('features = ["pulse", "smoker"]', 'features = "pulse"', ["node 'north'", "key 'features'", "list"]),
        ('features = ["pulse", "smoker"]', "features = [3]", ["node 'north'", "key 'features'", "3 (int)", "str"]),
        ('kind = "flag"', 'kind = "flag"\ncodes = { yes = "1" }', ["'smoker'", "key 'codes', 'yes'", "float"]),
        ('file = "north.csv"', "held_out = [true]", ["node 'north'", "key 'held_out'", "True (bool)", "int"]),
        ('modality = "wearable"', 'modality = "wrist"', ["'pulse'", "key 'modality'", "'wrist'", "wearable, clinic"]),
        ('kind = "flag"', 'kind = "bool"', ["'smoker'", "key 'kind'", "'bool'", "number, flag, category"]),
        ('title = "A small study"', 'title = "x"\npolicy = "no"', ["key 'policy'", "'no'", "default, research"]),
        ('unit = "/min"', 'unit = "bpm"', ["'pulse'", "key 'unit'", "'bpm'", "UCUM"]),
        ("low = 25", "low = 220", ["'pulse'", "keys 'low', 'high'", "220 and 220", "low < high"]),
        ("low = 25", "low = 300", ["'pulse'", "keys 'low', 'high'", "300 and 220", "low < high"]),
        ("low = 25", "low = nan", ["'pulse'", "keys 'low', 'high'", "nan and 220", "low < high"]),
        ("low = 25\n", "", ["'pulse'", "keys 'low', 'high'", "None and 220", "low < high"]),
        ("low = 25", 'low = 0\nscale = "log"', ["'pulse'", "key 'low'", "above 0 on a log scale"]),
        ("low = 25", "low = 25\nexample = 3", ["'pulse'", "key 'example'", "got 3", "25 to 220 /min"]),
        ('levels = ["none", "some", "much"]', "", ["'pain'", "key 'levels'", "at least two levels"]),
        ('levels = ["none", "some", "much"]', 'levels = ["a"]', ["'pain'", "key 'levels'", "at least two levels"]),
        ("threshold = 0.5", "threshold = 1.5", ["outcome 'ill'", "key 'threshold'", "1.5", "between 0 and 1"]),
        ("threshold = 0.5", "threshold = nan", ["outcome 'ill'", "key 'threshold'", "between 0 and 1"]),
        ("threshold = 0.5\n", "", ["outcome 'ill'", "key 'threshold' is missing"]),
        ('title = "Pulse"\n', "", ["feature 'pulse'", "key 'title' is missing"]),
        ('name = "pulse"\n', "", ["feature 1", "key 'name' is missing"]),
        ('name = "mini"\n', "", ["key 'name' is missing"]),
        ('name = "smoker"', 'name = "pulse"', ["feature 'pulse' is defined twice"]),
        ('["pulse", "smoker"]', '["pulse", "spo2"]', ["node 'north'", "key 'features'", "'spo2'", "study features"]),
        ('["pulse", "smoker"]', "[]", ["node 'north'", "key 'features'", "study features"]),
        ("threshold = 0.5", 'threshold = 0.5\nleaks = ["x"]', ["'ill'", "key 'leaks'", "'x'", "study features"]),
        ('name = "mini"', "name = ", ["not valid TOML", "line 1"]),
    ],
)
def test_a_mistake_names_file_key_and_expectation(tmp_path, old, new, expected):
    message = refusal(tmp_path, old, new)
    assert [part for part in expected if part not in message] == []


@pytest.mark.parametrize("kind", ["node", "outcome"])
def test_nodes_and_outcomes_have_names_of_their_own(tmp_path, kind):
    block = VALID[VALID.index(f"[[{kind}]]") :]
    block = block[: block.find("\n\n") if "\n\n" in block else None]
    with pytest.raises(StudyError, match=f"{kind} '(north|ill)' is defined twice"):
        load(tmp_path, VALID + "\n" + block)


@pytest.mark.parametrize("kind", ["feature", "node", "outcome"])
def test_each_kind_of_table_is_needed(tmp_path, kind):
    blocks = [b for b in VALID.split("\n\n") if not b.startswith(f"[[{kind}]]")]
    with pytest.raises(StudyError, match=rf"mini\.toml: key '{kind}': expected at least one \[\[{kind}\]\] table"):
        load(tmp_path, "\n\n".join(blocks))


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ('levels = ["none", "some", "much"]', "levels = 3", ["feature 'pain'", "key 'levels'"]),
        ("high = 220", "high = inf", ["feature 'pulse'", "'high'"]),
        ('kind = "flag"', 'kind = "flag"\nhigh = 5', ["feature 'smoker'", "high"]),
        ('levels = ["none", "some", "much"]', 'levels = ["a", "a"]', ["feature 'pain'", "levels"]),
        ("threshold = 0.5", "threshold = 0.5\nwindow_days = -7", ["outcome 'ill'", "window_days"]),
        ('file = "north.csv"', 'file = "north.csv"\nheld_out = [-1]', ["node 'north'", "held_out"]),
        ('file = "north.csv"\n', "", ["node 'north'", "'file'"]),
        ("threshold = 0.5", 'threshold = 0.5\nleaks = ["pulse", "smoker"]', ["'north'"]),
    ],
)
def test_what_cannot_work_is_refused_when_loading(tmp_path, old, new, expected):
    message = refusal(tmp_path, old, new)
    assert [part for part in expected if part not in message] == []


def test_subgroups_are_bands_of_a_number_and_levels_of_the_rest(tmp_path):
    tables = '\n[[subgroup]]\nfeature = "pulse"\nedges = [60, 90.5]\n\n[[subgroup]]\nfeature = "pain"\n'
    study = load(tmp_path, 'cities = ["Here"]\n' + VALID + tables)
    assert study.groups == (
        ("pulse", ("pulse < 60", "60 ≤ pulse < 90.5", "pulse ≥ 90.5")),
        ("pain", ("pain = none", "pain = some", "pain = much")),
        ("city", ("city = Here",)),
    )
    assert study_from_dict(asdict(study), "bundle.json") == study
    assert load(tmp_path).groups == ()


def test_a_subgroup_by_what_an_outcome_leaks_goes_with_it(tmp_path):
    text = (
        VALID.replace("threshold = 0.5", 'threshold = 0.5\nleaks = ["smoker"]') + '[[subgroup]]\nfeature = "smoker"\n'
    )
    assert load(tmp_path, text).subgroups == ()


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        ('feature = "weight"', ["subgroup 'weight'", "key 'feature'", "study feature"]),
        ('feature = "pulse"', ["subgroup 'pulse'", "key 'edges'", "[]", "between 25 and 220"]),
        ('feature = "pulse"\nedges = [90, 60]', ["key 'edges'", "rising"]),
        ('feature = "pulse"\nedges = [25, 60]', ["key 'edges'", "between 25 and 220"]),
        ('feature = "smoker"\nedges = [0.5]', ["subgroup 'smoker'", "key 'edges'", "flag", "expected none"]),
        ('feature = "smoker"\nbands = [1]', ["key 'bands'", "feature, edges"]),
        ("edges = [60]", ["subgroup 1", "key 'feature' is missing"]),
        ('feature = "pain"\n[[subgroup]]\nfeature = "pain"', ["subgroup 'pain' is defined twice"]),
    ],
)
def test_a_subgroup_that_cannot_be_told_is_refused(tmp_path, table, expected):
    with pytest.raises(StudyError) as caught:
        load(tmp_path, f"{VALID}\n[[subgroup]]\n{table}\n")
    assert [part for part in expected if part not in str(caught.value)] == []


def test_subgroups_are_tables(tmp_path):
    with pytest.raises(StudyError, match=r"key 'subgroup': expected at least one \[\[subgroup\]\] table"):
        load(tmp_path, 'subgroup = "age"\n' + VALID)


def test_a_source_is_not_needed_but_must_be_a_table(tmp_path):
    without = VALID.replace('[source]\nhint = "make data"\n', "")
    assert load(tmp_path, without).source.hint == ""
    with pytest.raises(StudyError, match=r"mini\.toml: .*source"):
        load(tmp_path, "source = 3\n" + without)


def test_tables_given_as_something_else_are_refused(tmp_path):
    without = "\n\n".join(b for b in VALID.split("\n\n") if not b.startswith("[[feature]]"))
    for wrong in ("feature = 3\n", 'feature = "pulse"\n', "feature = [1]\n", "feature = []\n"):
        with pytest.raises(StudyError, match=r"key 'feature': expected at least one \[\[feature\]\] table"):
            load(tmp_path, wrong + without)


def test_a_file_that_is_not_utf8_is_refused(tmp_path):
    with pytest.raises(StudyError, match=r"mini\.toml"):
        load(tmp_path, VALID.replace("Pulse", "Größe").encode("latin1"))


@pytest.mark.parametrize("name", ["no-such-study", "", "missing/study.toml", "/"])
def test_an_unknown_study_is_answered_with_the_known_ones(name):
    with pytest.raises(StudyError) as caught:
        load_study(name)
    message = str(caught.value)
    assert message.startswith(f"{name}: no such study")
    assert all(known in message for known in ["health-risk", "heart-disease", "nhanes", "TOML file"])


def test_an_unknown_outcome_is_answered_with_the_known_ones(tmp_path):
    with pytest.raises(StudyError, match=r"nhanes\.toml: outcome 'x' .*fair-poor-health, diabetes, cvd"):
        load_study("nhanes", "x")
    with pytest.raises(StudyError, match=r"mini\.toml: outcome 'x' .*it has ill"):
        load(tmp_path, outcome="x")


@pytest.mark.parametrize("name", builtin_studies())
def test_a_study_survives_being_written_down(name):
    for outcome in (None, *(o.name for o in load_study(name).outcomes)):
        study = load_study(name, outcome)
        again = study_from_dict(asdict(study), "bundle.json")
        assert again == study
        assert again.hash == study.hash


def test_a_written_down_study_is_checked_as_strictly(tmp_path):
    written = asdict(load(tmp_path))
    written["features"][0]["unit"] = "bpm"
    with pytest.raises(StudyError, match=r"bundle\.json: feature 'pulse': key 'unit': got 'bpm'"):
        study_from_dict(written, "bundle.json")

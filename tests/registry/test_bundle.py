import dataclasses
import hashlib
import json
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.federation.worlds import OFFSET_STUDY, draw_rows, split

from fedhealth.federation import exchange_within, fit
from fedhealth.registry import BundleError, load_bundle, model_card, write_bundle

ROWS = draw_rows(300, seed=1, missing=0.1)
FIT = fit(OFFSET_STUDY, exchange_within(split(ROWS, np.arange(300) % 4), OFFSET_STUDY))
ENDS = {"auroc_low": 0.7, "auroc_high": 0.9, "calibration_slope_low": None, "calibration_slope_high": None}
METRICS = {"auroc": 0.8, "brier": 0.1, "calibration_slope": None, "ece": 0.02, "n": 60, **ENDS}
FACTS = {
    "model": "additive",
    "seed": 3,
    "policy": "research",
    "synthetic": True,
    "threshold": {"value": 0.3, "sensitivity": 0.7, "specificity": None},
    "metrics": METRICS,
    "nodes": [
        {
            "name": "east",
            "title": "East",
            "rows": 75,
            "features": ["pulse"],
            "local": METRICS,
            "global": METRICS,
            "better_alone": True,
        }
    ],
    "subgroups": [{"name": "smoker = 1", "by": "smoker", "global": METRICS, "too_few": [], "better_alone": ["east"]}],
}
FILES = ("bundle.json", "model.safetensors", "MODEL_CARD.md")


def write(folder, facts=FACTS, card="# Card\n", model=FIT.model):
    return write_bundle(folder, OFFSET_STUDY, model, FIT.reference, facts, card)


@pytest.fixture(scope="module")
def bundle_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bundle")
    write(folder)
    return folder


def copy_of(folder, tmp_path):
    for name in FILES:
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    return tmp_path


def test_a_bundle_comes_back_as_it_was_written(tmp_path):
    written = write(tmp_path / "models")
    read = load_bundle(tmp_path / "models")
    assert read.hash == written.hash
    assert read.study == OFFSET_STUDY
    assert read.facts["study_hash"] == OFFSET_STUDY.hash
    assert {key: read.facts[key] for key in FACTS} == FACTS
    assert read.threshold == 0.3
    assert read.version == read.hash[:12]
    test = draw_rows(200, seed=2, missing=0.3)
    for bundle in (written, read):
        model = bundle.model
        np.testing.assert_allclose(model.risk(test.x, test.observed), FIT.model.risk(test.x, test.observed), atol=1e-7)
        np.testing.assert_allclose(
            model.interval(test.x, test.observed), FIT.model.interval(test.x, test.observed), atol=1e-6
        )
    assert read.reference.keys() == FIT.reference.keys()
    for name, array in FIT.reference.items():
        np.testing.assert_allclose(read.reference[name], array, atol=1e-9)
    for name, array in written.model.arrays().items():
        np.testing.assert_array_equal(read.model.arrays()[name], array)


def test_a_bundle_is_three_files_and_no_leftovers(bundle_folder):
    assert sorted(p.name for p in bundle_folder.iterdir()) == sorted(FILES)
    assert {oct(p.stat().st_mode & 0o777) for p in bundle_folder.iterdir()} == {"0o644"}


def test_the_same_content_has_the_same_hash_and_bytes(tmp_path, bundle_folder):
    again = write(tmp_path)
    assert again.hash == load_bundle(bundle_folder).hash
    assert all((tmp_path / name).read_bytes() == (bundle_folder / name).read_bytes() for name in FILES)


def test_the_last_bits_of_a_sum_do_not_matter(tmp_path, bundle_folder):
    nudged = dataclasses.replace(FIT.model, coefficients=FIT.model.coefficients + 1e-16)
    assert write(tmp_path, model=nudged).hash == load_bundle(bundle_folder).hash


def test_any_other_content_has_another_hash(tmp_path, bundle_folder):
    hashes = {
        load_bundle(bundle_folder).hash,
        write(tmp_path / "a", facts={**FACTS, "seed": 4}).hash,
        write(tmp_path / "b", card="# Other\n").hash,
        write(tmp_path / "c", model=dataclasses.replace(FIT.model, calibration=np.array([0.0, 1.0]))).hash,
        write(tmp_path / "d", model=dataclasses.replace(FIT.model, covariance=2 * FIT.model.covariance)).hash,
    }
    assert len(hashes) == 5


def test_nothing_in_a_bundle_tells_the_time(bundle_folder):
    text = (bundle_folder / "bundle.json").read_text()
    assert "time" not in text
    assert "date" not in text


def test_what_people_want_to_see_is_in_the_json(bundle_folder):
    content = json.loads((bundle_folder / "bundle.json").read_text())
    design = FIT.model.design
    np.testing.assert_allclose(content["arrays"]["mean"], design.mean, atol=1e-9)
    np.testing.assert_allclose(content["arrays"]["calibration"], FIT.model.calibration, atol=1e-9)
    assert [len([k for k in knots if k is not None]) for knots in content["arrays"]["knots"]] == [
        np.count_nonzero(~np.isnan(knots)) for knots in design.knots
    ]
    assert content["study"]["name"] == "tiny"


def test_writing_again_replaces_the_bundle(tmp_path):
    first = write(tmp_path)
    second = write(tmp_path, facts={**FACTS, "seed": 9})
    assert load_bundle(tmp_path).hash == second.hash != first.hash


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_named(bundle_folder, tmp_path, name):
    folder = copy_of(bundle_folder, tmp_path)
    (folder / name).unlink()
    with pytest.raises(BundleError, match=name) as caught:
        load_bundle(folder)
    assert "train or publish" in str(caught.value)


def test_an_absent_folder_is_told_so(tmp_path):
    with pytest.raises(BundleError, match=r"nowhere/bundle\.json: cannot be read"):
        load_bundle(tmp_path / "nowhere")


@pytest.mark.parametrize("name", FILES)
def test_a_file_cut_short_or_made_longer_is_refused(bundle_folder, tmp_path, name):
    whole = (bundle_folder / name).read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], whole[:-2], whole + b"x", whole[:-1] + b"{}"):
        folder = copy_of(bundle_folder, tmp_path)
        (folder / name).write_bytes(damaged)
        with pytest.raises(BundleError, match=name):
            load_bundle(folder)


@pytest.mark.parametrize("name", ["model.safetensors", "MODEL_CARD.md"])
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_is_refused(bundle_folder, tmp_path, name, data):
    folder = copy_of(bundle_folder, tmp_path)
    content = bytearray((folder / name).read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    content[place] ^= data.draw(st.integers(1, 255))
    (folder / name).write_bytes(content)
    with pytest.raises(BundleError, match=name):
        load_bundle(folder)


@settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_changed_byte_of_the_json_is_refused(bundle_folder, tmp_path, data):
    """Unless it still says the same: blanks between its parts, or 1E-6 for 1e-6."""
    folder = copy_of(bundle_folder, tmp_path)
    content = bytearray((folder / "bundle.json").read_bytes())
    said = json.loads(content)
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    (folder / "bundle.json").write_bytes(content)
    try:
        same = json.loads(content) == said
    except ValueError:
        same = False
    if not same:
        with pytest.raises(BundleError, match=r"bundle\.json|bundle format"):
            load_bundle(folder)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_format_is_refused(bundle_folder, tmp_path, version):
    folder = copy_of(bundle_folder, tmp_path)
    content = json.loads((folder / "bundle.json").read_text())
    (folder / "bundle.json").write_text(json.dumps({**content, "format": version}))
    with pytest.raises(BundleError, match=rf"got bundle format {version!r}; this version reads format 1"):
        load_bundle(folder)


@pytest.mark.parametrize("text", ["[]", "3", "null", '"bundle"', "{}", "not JSON", '{"format": 1}'])
def test_json_that_is_no_bundle_is_refused(bundle_folder, tmp_path, text):
    folder = copy_of(bundle_folder, tmp_path)
    (folder / "bundle.json").write_text(text)
    with pytest.raises(BundleError):
        load_bundle(folder)


def rehash(folder, **changed):
    """Change ``bundle.json`` and give it a hash that fits, as a writer with a bug would."""
    content = json.loads((folder / "bundle.json").read_text())
    content.pop("hash")
    content = {key: value for key, value in {**content, **changed}.items() if value is not None}
    text = json.dumps(content, sort_keys=True, separators=(",", ":"))
    content["hash"] = hashlib.sha256(text.encode()).hexdigest()
    (folder / "bundle.json").write_text(json.dumps(content))


def test_a_study_that_does_not_load_is_refused(bundle_folder, tmp_path):
    folder = copy_of(bundle_folder, tmp_path)
    study = json.loads((folder / "bundle.json").read_text())["study"]
    study["features"][0]["unit"] = "bpm"
    rehash(folder, study=study)
    with pytest.raises(BundleError, match=r"bundle\.json.*feature 'pulse'.*UCUM"):
        load_bundle(folder)


@pytest.mark.parametrize(
    "changed",
    [
        {"files": None},
        {"files": {}},
        {"study": None},
        {"arrays": None},
        {"arrays": {"mean": [0]}},
        {"study_hash": "0" * 64},
    ],
    ids=str,
)
def test_a_bundle_with_parts_left_out_is_refused(bundle_folder, tmp_path, changed):
    folder = copy_of(bundle_folder, tmp_path)
    rehash(folder, **changed)
    with pytest.raises(BundleError, match=r"bundle\.json"):
        load_bundle(folder)


def test_loading_unpickles_nothing(bundle_folder, monkeypatch):
    def refuse(*_, **__):
        raise AssertionError("unpickled")

    for name in ("load", "loads", "Unpickler"):
        monkeypatch.setattr(pickle, name, refuse)
    monkeypatch.setattr(np, "load", refuse)
    assert load_bundle(bundle_folder).study == OFFSET_STUDY
    header = int.from_bytes((bundle_folder / "model.safetensors").read_bytes()[:8], "little")
    arrays = json.loads((bundle_folder / "model.safetensors").read_bytes()[8 : 8 + header])
    assert {a["dtype"] for a in arrays.values()} == {"F64"}


def test_a_bundle_written_by_a_crash_half_way_is_refused(bundle_folder, tmp_path):
    other = tmp_path / "other"
    write(other, model=dataclasses.replace(FIT.model, covariance=2 * FIT.model.covariance))
    folder = copy_of(bundle_folder, tmp_path)
    (folder / "model.safetensors").write_bytes((other / "model.safetensors").read_bytes())
    with pytest.raises(BundleError, match=r"model\.safetensors: changed"):
        load_bundle(folder)


def test_the_model_card_says_what_people_must_know():
    card = model_card(OFFSET_STUDY, FACTS)
    for needed in (
        "# Tiny",
        "illness",
        "Synthetic data",
        "not a diagnosis",
        "Risks from 0.3 count as high",
        "70%",
        "an unknown share",
        "| `pulse` | Pulse | wearable | 40 to 140 /min |",
        "| `pain` | Pain | clinic | one of none, some, much |",
        "People at `east` would be served better",
        "People with smoker = 1 at `east` would be served better",
        "| smoker = 1 | 60 | 0.800 (0.700 to 0.900) |",
        "0.800",
        "75 rows",
        "seed 3",
    ):
        assert needed in card
    assert "None" not in card
    assert "nan" not in card
    small = {**FACTS["subgroups"][0], "global": None, "better_alone": []}
    assert "| smoker = 1 | too few |" in model_card(OFFSET_STUDY, {**FACTS, "subgroups": [small]})
    real = model_card(OFFSET_STUDY, {**FACTS, "synthetic": False})
    assert "ynthetic" not in real

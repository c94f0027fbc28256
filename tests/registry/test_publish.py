import numpy as np
import pytest
from tests.federation.worlds import draw_rows

from fedhealth.registry import (
    BundleError,
    challenge,
    challenger,
    champion,
    history,
    load_bundle,
    load_signed,
    publish,
    rollback,
    versions,
)
from fedhealth.registry.bundle import FILES


def test_publishing_makes_a_champion_with_a_history(runs, models):
    assert champion(models) is None
    assert history(models) == []
    published = publish(runs / "a", models, reason="first")
    assert champion(models).hash == published.hash == load_bundle(runs / "a").hash
    (entry,) = history(models)
    assert (entry["action"], entry["version"], entry["hash"]) == ("publish", published.version, published.hash)
    assert (entry["reason"], entry["before"], entry["study"]) == ("first", None, "tiny")


def test_publishing_the_champion_again_changes_nothing(runs, models):
    publish(runs / "a", models)
    before = {p: p.stat().st_mtime_ns for p in models.rglob("*")}
    publish(runs / "a", models)
    assert {p: p.stat().st_mtime_ns for p in models.rglob("*")} == before


def test_a_champion_that_came_without_a_history_gets_one_once_it_is_trained_here(runs, models):
    publish(runs / "a", models)
    (models / "history.jsonl").unlink()
    before = (models / "bundle.sig").read_bytes()
    publish(runs / "a", models, reason="newly trained")
    (entry,) = history(models)
    assert (entry["action"], entry["before"], entry["reason"]) == ("publish", None, "newly trained")
    assert (models / "bundle.sig").read_bytes() == before
    with pytest.raises(BundleError, match="no predecessor"):
        rollback(models, "back")


def test_a_damaged_bundle_is_not_published(runs, models):
    publish(runs / "a", models)
    (runs / "b" / "MODEL_CARD.md").write_text("other")
    with pytest.raises(BundleError, match=r"MODEL_CARD\.md"):
        publish(runs / "b", models)
    assert champion(models).facts["seed"] == 0
    assert len(history(models)) == 1


def test_a_damaged_champion_is_no_absent_one_but_the_reason_why_nothing_is_published(runs, models):
    publish(runs / "a", models)
    (models / "model.safetensors").write_bytes(b"")
    for ask in (lambda: champion(models), lambda: publish(runs / "b", models), lambda: versions(models, runs)):
        with pytest.raises(BundleError, match=r"the champion cannot be used: .*model\.safetensors: changed"):
            ask()
    for name in FILES:
        (models / name).unlink()
    with pytest.raises(BundleError, match=r"the champion cannot be used: .*bundle\.json: cannot be read"):
        publish(runs / "b", models)
    assert len(history(models)) == 1


def test_what_is_published_is_what_was_judged_beside_the_champion_that_it_was_judged_beside(runs, models):
    first, second = publish(runs / "a", models), load_bundle(runs / "b")
    with pytest.raises(BundleError, match=f"b: changed since it was judged: it holds version {second.version} by now"):
        publish(runs / "b", models, judged=first.hash, instead_of=first.version)
    with pytest.raises(BundleError, match=f"version {first.version} is served by now, not none"):
        publish(runs / "b", models, judged=second.hash, instead_of="none")
    assert len(history(models)) == 1
    assert [path.name for path in (models / "versions").glob("[!.]*")] == [first.version]
    assert publish(runs / "b", models, judged=second.hash, instead_of=first.version).hash == second.hash


@pytest.mark.parametrize("damaged", FILES)
def test_a_damaged_champion_can_be_rolled_back_and_come_back_whole(runs, models, damaged):
    for name in "ab":
        publish(runs / name, models)
    (models / damaged).write_bytes((models / damaged).read_bytes()[:-1])
    assert rollback(models, "damaged").facts["seed"] == 0
    assert publish(runs / "b", models, "promote").facts["seed"] == 1


def test_a_file_that_is_no_part_of_a_bundle_stops_a_change_before_anything_is_written(runs, models):
    for name in "ab":
        publish(runs / name, models)
    (models / ".gates.toml.swp").write_text("")
    before = {p: p.stat().st_mtime_ns for p in models.rglob("*")}
    for change in (lambda: publish(runs / "c", models), lambda: rollback(models, "worse")):
        with pytest.raises(BundleError, match=r"\.gates\.toml\.swp: no part of the signed bundle; remove it"):
            change()
    assert {p: p.stat().st_mtime_ns for p in models.rglob("*")} == before


def test_a_first_model_is_not_published_beside_other_files(runs, models):
    models.mkdir()
    (models / "notes.txt").write_text("")
    with pytest.raises(BundleError, match=r"notes\.txt: no part of the signed bundle"):
        publish(runs / "a", models)
    assert champion(models) is None
    assert history(models) == []


def test_rolling_back_goes_to_the_predecessor_and_is_written_down(runs, models):
    for name in "abc":
        publish(runs / name, models)
    seen = [rollback(models, "worse in the field").facts["seed"] for _ in range(2)]
    assert seen == [1, 0]
    assert champion(models).facts["seed"] == 0
    assert [e["action"] for e in history(models)] == ["publish"] * 3 + ["rollback"] * 2
    assert history(models)[-1]["reason"] == "worse in the field"
    with pytest.raises(BundleError, match="no predecessor"):
        rollback(models, "again")


def test_rolling_back_needs_no_runs(runs, models):
    publish(runs / "a", models)
    publish(runs / "b", models)
    for folder in runs.iterdir():
        for file in folder.iterdir():
            file.unlink()
    assert rollback(models, "gone").facts["seed"] == 0


def test_rolling_back_without_a_model_is_refused(models):
    with pytest.raises(BundleError, match="nothing to roll back"):
        rollback(models, "why")


def test_a_challenger_is_not_signed_before_it_is_promoted(runs, models):
    publish(runs / "a", models)
    challenge(runs / "b", models, "trained on new data")
    with pytest.raises(BundleError, match="missing; promote it to have it signed"):
        load_signed(models / "versions" / challenger(models))


def test_a_kept_version_that_was_changed_is_not_rolled_back_to(runs, models):
    first = publish(runs / "a", models)
    publish(runs / "b", models)
    (models / "versions" / first.version / "extra").write_text("")
    with pytest.raises(BundleError, match="extra: no part of the signed bundle"):
        rollback(models, "worse")
    assert champion(models).facts["seed"] == 1


def test_a_published_model_answers_like_the_run(runs, models):
    publish(runs / "a", models)
    rows = draw_rows(50, seed=4)
    np.testing.assert_array_equal(
        champion(models).model.risk(rows.x, rows.observed), load_bundle(runs / "a").model.risk(rows.x, rows.observed)
    )

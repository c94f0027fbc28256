"""Which version is champion, challenger, former or trained, and how one is found by name."""

import pytest

from fedhealth.registry import BundleError, challenge, challenger, find_version, load_bundle, publish, versions


def test_versions_tell_their_standing(runs, models):
    for name in "ab":
        publish(runs / name, models)
    standing = {v.bundle.facts["seed"]: v.standing for v in versions(models, runs)}
    assert standing == {0: "former", 1: "champion", 2: "trained"}


def test_there_is_one_challenger_until_it_is_promoted(runs, models):
    publish(runs / "a", models)
    assert challenger(models) is None
    for name in "bc":
        challenge(runs / name, models, "trained on new data")
    assert challenger(models) == load_bundle(runs / "c").version
    found = find_version("challenger", versions(models, runs))
    assert (found.bundle.facts["seed"], found.standing) == (2, "challenger")
    assert find_version("champion", versions(models, runs)).bundle.facts["seed"] == 0
    with pytest.raises(BundleError, match="is the champion"):
        challenge(runs / "a", models, "again")
    publish(found.folder, models, "promote")
    assert challenger(models) is None
    with pytest.raises(BundleError, match="'challenger' names 0 versions"):
        find_version("challenger", versions(models, runs))


def test_a_version_is_found_by_the_start_of_its_hash_or_by_its_folder(runs, models):
    publish(runs / "a", models)
    known = versions(models, runs)
    one = load_bundle(runs / "b")
    assert find_version(one.version, known).bundle.hash == one.hash
    assert find_version(f"{runs / 'b'}/", known).bundle.hash == one.hash
    for name, count in (("zzz", 0), ("", 3)):
        with pytest.raises(BundleError, match=f"names {count} versions; expected one of: .*{one.version}"):
            find_version(name, known)

"""Only what a trusted key signed is loaded, and only as it was signed."""

import json
import stat

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.federation.worlds import STUDY, draw_rows

from fedhealth.federation import exchange_within, fit
from fedhealth.registry import BundleError, load_signed, load_signing_key, publish, sign_bundle, signer, write_bundle

FIT = fit(STUDY, exchange_within([draw_rows(200, seed=1)], STUDY), penalty=(30.0, 3.0))
FILES = ("bundle.json", "model.safetensors", "MODEL_CARD.md", "bundle.sig")


def write(folder, seed=0):
    return write_bundle(folder, STUDY, FIT.model, FIT.reference, {"seed": seed}, "# card\n")


@pytest.fixture
def signed(tmp_path):
    """A folder with a signed bundle."""
    write(tmp_path / "models")
    sign_bundle(tmp_path / "models")
    return tmp_path / "models"


@pytest.fixture
def own_installation(tmp_path, monkeypatch):
    """An installation of its own, without any key so far: the folder for its keys."""
    monkeypatch.setenv("FEDHEALTH_SIGNING_KEY_FILE", str(tmp_path / "own" / "signing.key"))
    monkeypatch.setenv("FEDHEALTH_TRUSTED_KEYS_FILE", str(tmp_path / "own" / "trusted_keys.toml"))
    return tmp_path / "own"


def test_a_signed_bundle_is_loaded(signed):
    assert load_signed(signed).hash == write(signed.parent / "again").hash
    assert signer(signed).startswith("made here")


def test_a_signature_is_no_part_of_the_hash(signed):
    assert "sig" not in json.loads((signed / "bundle.json").read_text())["files"]


def test_nobody_signed_it(tmp_path):
    write(tmp_path)
    with pytest.raises(BundleError, match=r"bundle\.sig: missing; promote it to have it signed"):
        load_signed(tmp_path)


@pytest.mark.parametrize("name", FILES)
def test_a_changed_file_is_refused(signed, name):
    whole = (signed / name).read_bytes()
    for changed in (whole[:-1], b"", bytes([whole[0] ^ 1]) + whole[1:], whole + b" "):
        (signed / name).write_bytes(changed)
        with pytest.raises(BundleError, match=name.replace(".", r"\.")):
            load_signed(signed)
    (signed / name).write_bytes(whole)
    load_signed(signed)


@pytest.mark.parametrize("name", FILES)
def test_a_renamed_file_is_refused(signed, name):
    (signed / name).rename(signed / f"old.{name}")
    with pytest.raises(BundleError, match=name.replace(".", r"\.")) as caught:
        load_signed(signed)
    if name != "bundle.json":
        assert f"old.{name} is there instead" in str(caught.value)


@pytest.mark.parametrize("name", ["extra.safetensors", ".hidden", "bundle.json.bak"])
def test_an_added_file_is_refused(signed, name):
    (signed / name).write_bytes(b"")
    with pytest.raises(BundleError, match=rf"{name}: no part of the signed bundle"):
        load_signed(signed)


def test_files_of_another_signed_bundle_are_refused(signed, tmp_path):
    write(tmp_path / "other", seed=1)
    sign_bundle(tmp_path / "other")
    (signed / "bundle.sig").write_bytes((tmp_path / "other" / "bundle.sig").read_bytes())
    with pytest.raises(BundleError, match=r"bundle\.json: changed since it was signed"):
        load_signed(signed)


def test_a_key_that_is_not_trusted_is_refused_by_name(signed):
    sign_bundle(signed, Ed25519PrivateKey.generate())
    with pytest.raises(BundleError, match=r"signed by key [0-9a-f]{8}, which is not trusted here; trusted are: .*demo"):
        load_signed(signed)


def test_what_another_installation_signed_is_served_once_its_key_is_trusted(signed, own_installation):
    theirs = json.loads((signed / "bundle.sig").read_text())["key"]
    with pytest.raises(BundleError, match="not trusted here"):
        load_signed(signed)
    own_installation.mkdir()
    (own_installation / "trusted_keys.toml").write_text(f'"the hospital" = "{theirs}"\n')
    load_signed(signed)
    assert signer(signed) == "the hospital"


def test_a_key_is_made_once_for_its_owner_alone_and_its_public_half_trusted(own_installation):
    load_signing_key()
    first = (own_installation / "signing.key").read_bytes()
    assert stat.S_IMODE((own_installation / "signing.key").stat().st_mode) == 0o600
    load_signing_key()
    assert (own_installation / "signing.key").read_bytes() == first
    assert len((own_installation / "trusted_keys.toml").read_text().splitlines()) == 1
    assert sorted(p.name for p in own_installation.iterdir()) == ["signing.key", "trusted_keys.toml"]


def test_a_key_that_is_not_trusted_publishes_nothing(own_installation, tmp_path):
    write(tmp_path / "run")
    load_signing_key()
    (own_installation / "trusted_keys.toml").unlink()
    with pytest.raises(BundleError, match=r"signing\.key: its public half is not trusted here.*add to .*made here"):
        publish(tmp_path / "run", tmp_path / "models")
    assert not (tmp_path / "models" / "bundle.json").exists()


@pytest.mark.parametrize("text", ["not a key", ""])
def test_a_damaged_private_key_is_said_so(own_installation, text):
    own_installation.mkdir()
    (own_installation / "signing.key").write_text(text)
    with pytest.raises(BundleError, match=r"signing\.key: no private key"):
        load_signing_key()


@pytest.mark.parametrize(
    ("text", "wrong"), [("x", "not valid TOML"), ('"a" = "12"', "64 digits"), ("a = 1", "64 digits")]
)
def test_a_damaged_file_of_trusted_keys_is_said_so(signed, own_installation, text, wrong):
    own_installation.mkdir()
    (own_installation / "trusted_keys.toml").write_text(text)
    with pytest.raises(BundleError, match=rf"trusted_keys\.toml: .*{wrong}"):
        load_signed(signed)


def test_publishing_signs(tmp_path):
    write(tmp_path / "run")
    published = publish(tmp_path / "run", tmp_path / "models")
    assert load_signed(tmp_path / "models").hash == published.hash
    assert load_signed(tmp_path / "models" / "versions" / published.version).hash == published.hash
    assert not (tmp_path / "run" / "bundle.sig").exists()

"""Who vouches for a bundle: an Ed25519 signature (RFC 8032) beside it, and the public keys that are trusted here.

The private key is made at first use and stays with whoever promotes models; what serves them needs only the file of
trusted public keys. ``bundle.sig`` names the SHA-256 of each of the bundle's files, byte for byte, and signs the list.
"""

import json
import os
import tomllib
from collections.abc import Mapping
from hashlib import sha256
from importlib.resources import files as package_files
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from fedhealth.keys import write_private
from fedhealth.registry.bundle import FILES, REPORT, Bundle, BundleError, bundle_of, read_files, replace_file

SIGNATURE = "bundle.sig"
AGAIN = "put back the file that was signed, or roll back"
BESIDE = {  # what else may lie in a bundle's folder; no part of it, and never loaded with it
    *("versions", "history.jsonl", "gates.toml", REPORT),
    *("global_model.pth", "new.global_model.pth"),
}
BUNDLE, HISTORY = "bundle", "history"  # what is signed: a signature for one is none for the other


def signing_key_file() -> Path:
    """The private key's file: ``FEDHEALTH_SIGNING_KEY_FILE``, else ``.fedhealth/signing.key``."""
    return Path(os.environ.get("FEDHEALTH_SIGNING_KEY_FILE") or ".fedhealth/signing.key")


def trusted_keys_file() -> Path:
    """The file of trusted public keys: ``FEDHEALTH_TRUSTED_KEYS_FILE``, else ``.fedhealth/trusted_keys.toml``."""
    return Path(os.environ.get("FEDHEALTH_TRUSTED_KEYS_FILE") or ".fedhealth/trusted_keys.toml")


def trusted_keys() -> dict[str, str]:
    """Names of the trusted keys by their 64 hexadecimal digits: the demo's, which comes along, and the file's.

    Raises:
        BundleError: the file is not TOML of ``"name" = "64 hexadecimal digits"``.
    """
    shipped = package_files("fedhealth.registry") / "trusted_keys.toml"
    own = trusted_keys_file()
    return _read_keys(shipped.read_text(encoding="utf-8"), str(shipped)) | (
        _read_keys(own.read_text(encoding="utf-8"), str(own)) if own.is_file() else {}
    )


def _read_keys(text: str, place: str) -> dict[str, str]:
    try:
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise BundleError(f"{place}: not valid TOML: {error}") from None
    for name, key in found.items():
        if not (isinstance(key, str) and len(key) == 64 and set(key) <= set("0123456789abcdef")):
            raise BundleError(f"{place}: {name}: got {key!r}; expected a public key of 64 digits (0-9, a-f)")
    return {key: name for name, key in found.items()}


def load_signing_key() -> Ed25519PrivateKey:
    """The key that signs here; made, and its public half trusted, where there is none yet.

    Raises:
        BundleError: the file holds no Ed25519 key, or one that is not trusted here: what it signs could not be used.
        OSError: it cannot be read or made.
    """
    path = signing_key_file()
    if not path.exists():
        _make_key(path)
    key = _read_key(path)
    if (digits := public_digits(key)) not in trusted_keys():
        raise BundleError(
            f"{path}: its public half is not trusted here, so what it signs could not be used; to trust it, add to "
            f'{trusted_keys_file()}: "made here, {digits[:8]}" = "{digits}"'
        )
    return key


def _read_key(path: Path) -> Ed25519PrivateKey:
    try:
        key = serialization.load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise BundleError(f"{path}: no private key in PEM ({error}); move it away, and a new one is made") from None
    if not isinstance(key, Ed25519PrivateKey):
        raise BundleError(f"{path}: got a key of another kind; expected Ed25519")
    return key


def _make_key(path: Path) -> None:
    """Write a new key to ``path``, readable by its owner only, whole at once, unless another process was quicker.

    Its public half is trusted before, since others may use the key as soon as it is there.
    """
    key = Ed25519PrivateKey.generate()
    pem = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    _trust(public_digits(key))
    write_private(path, pem, anew=False)


def _trust(digits: str) -> None:
    path = trusted_keys_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8") as file:
        file.write(f'"made here, {digits[:8]}" = "{digits}"\n')


def public_digits(key: Ed25519PrivateKey) -> str:
    """The public half of ``key``, 64 hexadecimal digits."""
    raw, plain = serialization.Encoding.Raw, serialization.PublicFormat.Raw
    return key.public_key().public_bytes(raw, plain).hex()


def sign(purpose: str, content: Mapping[str, Any], key: Ed25519PrivateKey) -> dict[str, Any]:
    """``content`` with ``key`` (who signed) and ``signature``, both in hexadecimal digits."""
    signed = {**content, "key": public_digits(key)}
    return {**signed, "signature": key.sign(_message(purpose, signed)).hex()}


def check(purpose: str, signed: Mapping[str, Any], place: str) -> str:
    """The name of the trusted key that signed this, at ``place``.

    Raises:
        BundleError: no trusted key did, or the content was changed since.
    """
    digits, trusted = str(signed.get("key")), trusted_keys()
    if digits not in trusted:
        known = ", ".join(f"{name} ({one[:8]})" for one, name in trusted.items())
        raise BundleError(
            f"{place}: signed by key {digits[:8]}, which is not trusted here; trusted are: {known}. To trust it, add "
            f"it to {trusted_keys_file()}"
        )
    content = {name: value for name, value in signed.items() if name != "signature"}
    try:
        signature = bytes.fromhex(str(signed.get("signature")))
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(digits)).verify(signature, _message(purpose, content))
    except (InvalidSignature, ValueError):
        raise BundleError(f"{place}: its signature does not fit: it was changed after it was signed") from None
    return trusted[digits]


def _message(purpose: str, content: Mapping[str, Any]) -> bytes:
    return f"fedhealth {purpose}\n{json.dumps(content, sort_keys=True, separators=(',', ':'))}".encode()


def sign_bundle(folder: Path, key: Ed25519PrivateKey | None = None) -> None:
    """Vouch for the bundle in ``folder`` as it is now, with ``key`` or this machine's own.

    Raises:
        BundleError: it is no whole bundle.
    """
    files = read_files(folder)
    bundle_of(files, folder)
    signed = sign(BUNDLE, {"files": _digests(files)}, key or load_signing_key())
    replace_file(folder / SIGNATURE, _signature_text(signed))


def load_signed(folder: Path) -> Bundle:
    """Load the bundle in ``folder`` if a key that is trusted here signed it and it is just as it was then.

    Raises:
        BundleError: nobody who is trusted signed it; or a file was changed, added, renamed or removed; names it.
    """
    check_names(folder)
    files = read_files(folder)
    signed = _read_signature(folder)
    check(BUNDLE, signed, str(folder / SIGNATURE))
    for name, digest in _digests(files).items():
        if signed["files"].get(name) != digest:
            raise BundleError(f"{folder / name}: changed since it was signed; {AGAIN}")
    return bundle_of(files, folder)


def signer(folder: Path) -> str:
    """Who signed the bundle in ``folder``: the name of a trusted key.

    Raises:
        BundleError: nobody who is trusted did.
    """
    signed = _read_signature(folder)
    return check(BUNDLE, signed, str(folder / SIGNATURE))


def check_names(folder: Path) -> None:
    """Raise BundleError where a file was added to, renamed in, or removed from the bundle's folder."""
    if not folder.is_dir():
        raise BundleError(f"{folder / 'bundle.json'}: cannot be read (no such folder); train or publish a bundle first")
    found = {path.name for path in folder.iterdir()}
    if "bundle.json" not in found:
        return  # nothing was published here: said when it is read
    missing = [name for name in (*FILES, SIGNATURE) if name not in found]
    if missing:
        added = _added(folder)
        lost = f"; {', '.join(added)} is there instead" if added else ""
        hint = "promote it to have it signed" if missing == [SIGNATURE] else AGAIN
        raise BundleError(f"{folder / missing[0]}: missing{lost}; {hint}")
    refuse_added(folder)


def refuse_added(folder: Path) -> None:
    """Raise BundleError where a file lies in the bundle's folder that is no part of it."""
    for name in _added(folder):
        raise BundleError(f"{folder / name}: no part of the signed bundle; remove it")


def _added(folder: Path) -> list[str]:
    return sorted({path.name for path in folder.iterdir()} - {*FILES, SIGNATURE} - BESIDE)


def _digests(files: Mapping[str, bytes]) -> dict[str, str]:
    return {name: sha256(data).hexdigest() for name, data in files.items()}


def _signature_text(signed: Mapping[str, Any]) -> bytes:
    return (json.dumps(signed, indent=1) + "\n").encode()


def _read_signature(folder: Path) -> dict[str, Any]:
    path = folder / SIGNATURE
    try:
        signed = json.loads(data := path.read_bytes())
    except OSError as error:
        raise BundleError(f"{path}: cannot be read ({error.strerror}); promote the model to have it signed") from None
    except ValueError as error:
        raise BundleError(f"{path}: not valid JSON: {error}") from None
    if not (isinstance(signed, dict) and isinstance(signed.get("files"), dict) and data == _signature_text(signed)):
        raise BundleError(f"{path}: no signature of a bundle's files as it was written")
    return signed

"""Keys that protect whatever is stored or administered: the installation's own, and those issued to people."""

import hashlib
import json
import os
import re
import secrets
import tempfile
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, get_args

DEFAULT_FILE = Path(".fedhealth/api_key")
Role = Literal["citizen", "viewer", "analyst", "admin"]
INSTALLATION = "installation"  # whose key is issued to nobody
ROLES: tuple[Role, ...] = get_args(Role)
NAME = re.compile(r"[A-Za-z0-9_.:-]{1,64}")


class KeyProblem(Exception):
    """A key cannot be issued, found or revoked; the message says why and what to do."""


def load_key(create: bool = False) -> str | None:
    """The key of this installation, or None where there is none yet.

    It is ``FEDHEALTH_API_KEY`` if that is set, else the content of the file that ``FEDHEALTH_API_KEY_FILE`` names
    (default ``.fedhealth/api_key``). With ``create``, a missing file is made with a random key, readable by its owner
    only; of several processes that try at once, all get the same key.

    Raises:
        OSError: the file cannot be read or made.
    """
    key = os.environ.get("FEDHEALTH_API_KEY", "").strip()
    return key or _from_file(key_file(), create)


def key_file() -> Path:
    """The file that holds the key where the environment does not."""
    return Path(os.environ.get("FEDHEALTH_API_KEY_FILE") or DEFAULT_FILE)


def _from_file(path: Path, create: bool) -> str | None:
    if create and not path.exists():
        make_key_file(path)
    try:
        return path.read_text(encoding="utf-8").strip() or None
    except FileNotFoundError:
        return None


def make_key_file(path: Path) -> None:
    """Write a random key of 64 hexadecimal digits to ``path``, readable by its owner only, unless the file is there."""
    write_private(path, secrets.token_hex(32).encode() + b"\n", anew=False)


def write_private(path: Path, content: bytes, anew: bool = True) -> bool:
    """Write a file that only its owner may read, whole or not at all; whether it was written.

    It is written aside (``mkstemp`` makes it with mode 600) before it gets its name. A file that is there is replaced
    if ``anew``, and else stays: of several processes that try at once, the first one's counts.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        if anew:
            os.replace(aside, path)
        else:
            os.link(aside, path)
            os.unlink(aside)
    except BaseException as error:
        os.unlink(aside)
        if not isinstance(error, FileExistsError):
            raise
        return False
    return True


@dataclass(frozen=True)
class IssuedKey:
    """A key that was given to somebody; the key itself is kept nowhere, only its SHA-256.

    Attributes:
        name: whose key it is, unique among those in force.
        role: what it may do; each role may do what those before it may.
        hash: 64 hexadecimal digits. Keys are 32 random bytes, so a fast hash is enough.
        person: pseudonym whose data a citizen's key may see and erase.
        created: ISO 8601.
        revoked: the same; None while in force.
    """

    name: str
    role: Role
    hash: str
    person: str | None
    created: str
    revoked: str | None = None


def issued_keys() -> list[IssuedKey]:
    """All keys ever issued, in order; those revoked too.

    Raises:
        OSError: the file cannot be read.
        KeyProblem: a line is broken; names it.
    """
    path = issued_keys_file()
    lines = path.read_text(encoding="utf-8").splitlines() if path.is_file() else []
    found: list[IssuedKey] = []
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            if entry.pop("action") == "add":
                found.append(IssuedKey(**entry))
            else:
                found = [_revoked(key, entry["name"], entry["time"]) for key in found]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise KeyProblem(f"{path}: line {number} is not a key; repair or remove it") from None
    return found


def issue_key(name: str, role: Role, person: str | None = None) -> str:
    """Make a key for ``name`` and note its hash; the key is given back once and can never be shown again.

    Raises:
        KeyProblem: the name is taken or no name, the role is none, or ``person`` does not go with it.
        OSError: the file cannot be written.
    """
    if not NAME.fullmatch(name):
        raise KeyProblem(f"name: got {name!r}; expected 1 to 64 letters, digits, '.', ':', '_' or '-'")
    if role not in ROLES:
        raise KeyProblem(f"role: got {role!r}; expected one of {', '.join(ROLES)}")
    if (role == "citizen") != (person is not None) or not NAME.fullmatch(person or name):
        raise KeyProblem("person: expected a pseudonym for a citizen's key, and none for any other")
    if name == INSTALLATION or any(key.name == name and key.revoked is None for key in issued_keys()):
        raise KeyProblem(f"name: {name!r} has a key; revoke it first, or choose another name")
    key = secrets.token_hex(32)
    _note({"action": "add", **asdict(IssuedKey(name, role, hashed(key), person, _now()))})
    return key


def revoke_key(name: str) -> None:
    """Put ``name``'s key out of force.

    Raises:
        KeyProblem: there is no key of that name in force.
    """
    if not any(key.name == name and key.revoked is None for key in issued_keys()):
        raise KeyProblem(f"{name!r} has no key in force; fedhealth keys list shows all")
    _note({"action": "revoke", "name": name, "time": _now()})


def hashed(key: str) -> str:
    """What is kept of a key."""
    return hashlib.sha256(key.encode()).hexdigest()


def issued_keys_file() -> Path:
    """Where issued keys are noted, one line per change: ``FEDHEALTH_KEYS_FILE``, else beside :func:`key_file`."""
    named = os.environ.get("FEDHEALTH_KEYS_FILE")
    return Path(named) if named else key_file().with_name("issued_keys.jsonl")


def _revoked(key: IssuedKey, name: str, time: str) -> IssuedKey:
    return replace(key, revoked=time) if key.name == name and key.revoked is None else key


def _note(entry: dict[str, Any]) -> None:
    path = issued_keys_file()
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(handle, (json.dumps(entry) + "\n").encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")

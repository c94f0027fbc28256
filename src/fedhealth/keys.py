"""The key that protects whatever is stored or administered: where it is found, and how it comes into being."""

import os
import secrets
import tempfile
from pathlib import Path

DEFAULT_FILE = Path(".fedhealth/api_key")


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
    """Write a random key of 64 hexadecimal digits to ``path``, readable by its owner only, unless the file is there.

    It is written whole aside (``mkstemp`` makes it with mode 600) before it gets its name.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, aside = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(secrets.token_hex(32) + "\n")
        os.link(aside, path)
    except FileExistsError:
        pass  # another process was quicker; its key counts
    finally:
        os.unlink(aside)

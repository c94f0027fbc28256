"""People under another name: HMAC-SHA256 (RFC 2104) of the name in the file, under a key that stays on the node."""

import hashlib
import hmac
from pathlib import Path

from fedhealth.data.files import DataError
from fedhealth.keys import make_key_file

FILE = "pseudonym.key"
LENGTH = 32  # hexadecimal digits: 128 bits, so that two people never share one


class Pseudonyms:
    """Names to pseudonyms; the same name gives the same one at this node, another one at a node with another key."""

    def __init__(self, folder: Path) -> None:
        self._key = _read_key(folder / FILE)
        self._known: dict[str, str] = {}

    def __call__(self, name: str) -> str:
        """The pseudonym of ``name``, 32 hexadecimal digits."""
        if name not in self._known:
            self._known[name] = hmac.new(self._key, name.encode(), hashlib.sha256).hexdigest()[:LENGTH]
        return self._known[name]


def _read_key(path: Path) -> bytes:
    """The key in ``path``, made if missing.

    Raises:
        DataError: others may read the file, or it holds no key.
    """
    if not path.exists():
        make_key_file(path)
    if path.stat().st_mode & 0o077:
        raise DataError(f"{path}: others may read this key; make it private: chmod 600 {path}")
    try:
        key = bytes.fromhex(path.read_text(encoding="utf-8").strip())
    except ValueError:
        key = b""
    if len(key) < 16:
        raise DataError(
            f"{path}: not a key of 32 or more hexadecimal digits; remove the file and import everything again"
        )
    return key

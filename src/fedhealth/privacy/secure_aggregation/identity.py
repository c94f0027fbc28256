"""Who the nodes of a sum are: a signing key of one's own in a file, and the others' public ones as first seen."""

import json
from collections.abc import Mapping
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from fedhealth.data.files import replacing
from fedhealth.keys import write_private
from fedhealth.privacy.secure_aggregation.errors import SecureAggregationError


def key_file(data: Path, node: str) -> Path:
    """Where the signing key of ``node`` is: beside its table."""
    return data / f"{node}.key"


def peers_file(data: Path, node: str) -> Path:
    """Where ``node`` keeps the public keys of the others."""
    return data / f"{node}.peers.json"


def own_key(path: Path) -> Ed25519PrivateKey:
    """The signing key in ``path`` (32 bytes that only the owner may read); made and written when there is none.

    Raises:
        SecureAggregationError: the file holds something else.
    """
    if not path.exists():
        write_private(path, Ed25519PrivateKey.generate().private_bytes_raw(), anew=False)
    try:
        return Ed25519PrivateKey.from_private_bytes(path.read_bytes())
    except ValueError:
        raise SecureAggregationError(f"{path}: expected a signing key of 32 bytes; restore it, or remove it") from None


def check_peers(path: Path, node: str, roster: Mapping[str, bytes]) -> None:
    """Compare the nodes' public keys with those in ``path``, and add the names that are new (trust on first use).

    Raises:
        SecureAggregationError: a name came with another key than before.
    """
    known: dict[str, str] = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for name, key in roster.items():
        if known.setdefault(name, key.hex()) != key.hex():
            raise SecureAggregationError(
                f"{node} refused: {name} came with another key than before ({key.hex()[:12]}; expected "
                f"{known[name][:12]}); if its owner confirms the new one, remove the old from {path.name}"
            )
    if not path.exists() or len(known) > len(json.loads(path.read_text(encoding="utf-8"))):
        with replacing(path) as part:
            part.write_text(json.dumps(known, indent=1) + "\n", encoding="utf-8")

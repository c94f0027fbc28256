"""What nodes and server say to each other in one round."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

from fedhealth.privacy.secure_aggregation.fixed_point import Ring


@dataclass(frozen=True)
class Keys:
    """A node's two public keys for this round, signed: one for masks, one for letters to other nodes."""

    node: str
    mask_key: bytes
    letter_key: bytes
    signature: bytes


@dataclass(frozen=True)
class Letter:
    """A sender's two shares, encrypted for one receiver."""

    sender: str
    receiver: str
    box: bytes


@dataclass(frozen=True)
class Masked:
    """A node's values under all its masks."""

    node: str
    values: Ring


@dataclass(frozen=True)
class Signed:
    """A node's signature under the list of those whose values arrived."""

    node: str
    signature: bytes


@dataclass(frozen=True)
class Shares:
    """A node's shares, by owner: of the own mask of those who arrived, of the mask key of those who were lost."""

    node: str
    own_masks: dict[str, bytes]
    mask_keys: dict[str, bytes]


def keys_text(context: bytes, node: str, mask_key: bytes, letter_key: bytes) -> bytes:
    """What a node signs of its keys."""
    return hashlib.sha256(b"keys\0" + context + b"\0" + node.encode() + b"\0" + mask_key + letter_key).digest()


def arrived_text(context: bytes, arrived: Iterable[str]) -> bytes:
    """What a node signs of the list of those whose values arrived."""
    return hashlib.sha256(b"arrived\0" + context + b"\0" + "\0".join(sorted(arrived)).encode()).digest()


def mask_purpose(context: bytes, one: str, other: str) -> bytes:
    """What the masks that two nodes share are for: the same for both."""
    return context + b"\0mask\0" + "\0".join(sorted((one, other))).encode()

"""A node's side of one round. It trusts the server with nothing but passing messages on.

Masks: every two nodes add and subtract the same numbers, which cancel in the sum; and each node adds numbers of its
own, which at least ``threshold`` nodes must give away once it is settled whose values arrived. For those who were
lost, the same nodes give away the key of the masks they shared. For one node never both: both would bare its values.
"""

import secrets
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Never

from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

from fedhealth.federation.contribution import Floats
from fedhealth.privacy.secure_aggregation.errors import SecureAggregationError
from fedhealth.privacy.secure_aggregation.fixed_point import encode
from fedhealth.privacy.secure_aggregation.masks import agreed, mask
from fedhealth.privacy.secure_aggregation.messages import (
    Keys,
    Letter,
    Masked,
    Shares,
    Signed,
    arrived_text,
    keys_text,
    mask_purpose,
)
from fedhealth.privacy.secure_aggregation.sharing import LENGTH, share

FEWEST_NODES = 3  # nodes in a sum: of two, each could subtract its own values
FREE_FROM = 5  # nodes: from here a sum goes on without one that was lost
NONCE = bytes(12)  # a letter's key is used once


def threshold(nodes: int) -> int:
    """How many nodes must take part to the end: more than two thirds.

    Two lists of who arrived would need so many signatures each that more than a third of the nodes signed both.
    """
    return 2 * nodes // 3 + 1


def fewest(nodes: int) -> int:
    """How many of a study's ``nodes`` must be in a sum: all of fewer than five, else more than two thirds."""
    return nodes if nodes < FREE_FROM else threshold(nodes)


@dataclass(frozen=True)
class Member:
    """A node's lasting identity: its signing key, everybody's public ones by name, and the rounds it has seen.

    ``nodes`` is how many there are, whether they take part or not. All shares of what must be there to the end are of
    that many: were they of those alone that a server lets begin, fewer would do to bare somebody.
    """

    name: str
    key: Ed25519PrivateKey
    known: Mapping[str, Ed25519PublicKey]
    nodes: int
    seen: set[bytes] = field(default_factory=set)

    @property
    def least(self) -> int:
        """How many nodes must take part in a round to its end."""
        return max(FEWEST_NODES, threshold(self.nodes))


class NodeRound:
    """One round of one node; every step is done once, in order.

    ``context`` names study, run and round. What the values are about, such as a step and a model, is the ``subject`` of
    :meth:`masked`: it is bound into masks and signatures, so that all nodes sum the same or nobody learns anything.
    """

    def __init__(self, member: Member, context: bytes) -> None:
        """Begin a round.

        Raises:
            SecureAggregationError: the context was used before.
        """
        self._member, self._context = member, context
        if context in member.seen:
            self._refuse("this context was used before; every round needs a fresh one")
        member.seen.add(context)
        self._mask_key, self._letter_key = X25519PrivateKey.generate(), X25519PrivateKey.generate()
        self._own = secrets.token_bytes(32)
        self._keys: dict[str, Keys] = {}
        self._letters: dict[str, bytes] = {}
        self._arrived: tuple[str, ...] = ()
        self._subject = b""
        self._done: set[str] = set()

    def keys(self) -> Keys:
        """This node's public keys for the round, signed."""
        mask_key, letter_key = (key.public_key().public_bytes_raw() for key in (self._mask_key, self._letter_key))
        signature = self._member.key.sign(keys_text(self._context, self._member.name, mask_key, letter_key))
        return Keys(self._member.name, mask_key, letter_key, signature)

    def letters(self, everyone: Sequence[Keys]) -> list[Letter]:
        """A letter for each other node, with shares of this node's own mask and of its mask key."""
        self._once("letters")
        self._keys = {keys.node: keys for keys in everyone}
        least = self._member.least
        if len(self._keys) != len(everyone) or len(self._keys) < least:
            self._refuse(f"got keys of {len(self._keys)} nodes; expected at least {least}, each once")
        for keys in everyone:
            text = keys_text(self._context, keys.node, keys.mask_key, keys.letter_key)
            self._check(keys.node, keys.signature, text, "its keys")
        if self._keys.get(self._member.name) != self.keys():
            self._refuse("its own keys were changed or left out")
        names = sorted(self._keys)
        own, key = (share(secret, least, len(names)) for secret in (self._own, self._mask_key.private_bytes_raw()))
        both = {name: own[place] + key[place] for place, name in enumerate(names)}
        self._letters[self._member.name] = both.pop(self._member.name)
        return [self._letter(name, shares) for name, shares in both.items()]

    def _letter(self, receiver: str, both: bytes) -> Letter:
        sender = self._member.name
        key = agreed(self._letter_key, self._keys[receiver].letter_key, self._purpose("letter", sender, receiver))
        return Letter(sender, receiver, ChaCha20Poly1305(key).encrypt(NONCE, both, None))

    def masked(self, letters: Sequence[Letter], values: Floats, subject: bytes = b"") -> Masked:
        """This node's values under its masks; whoever sent no letter was lost before and has no part in them."""
        self._once("masked")
        me, self._subject = self._member.name, subject
        for letter in letters:
            self._letters[letter.sender] = self._opened(letter)
        if len(self._letters) < self._member.least:
            self._refuse(f"got letters of {len(self._letters)} nodes; expected {self._member.least} or more")
        hidden = encode(values, len(self._keys)) + mask(self._own, values.size)
        for name in sorted(self._letters.keys() - {me}):
            purpose = mask_purpose(self._context + subject, me, name)
            seed = agreed(self._mask_key, self._keys[name].mask_key, purpose)
            hidden = hidden + mask(seed, values.size) if me < name else hidden - mask(seed, values.size)
        return Masked(me, hidden)

    def _opened(self, letter: Letter) -> bytes:
        me = self._member.name
        if letter.receiver != me or letter.sender not in self._keys or letter.sender in self._letters:
            self._refuse(f"got a letter from {letter.sender} to {letter.receiver}; expected one from each other node")
        purpose = self._purpose("letter", letter.sender, me)
        key = agreed(self._letter_key, self._keys[letter.sender].letter_key, purpose)
        try:
            return ChaCha20Poly1305(key).decrypt(NONCE, letter.box, None)
        except InvalidTag:
            self._refuse(f"the letter from {letter.sender} was tampered with")

    def signed(self, arrived: Iterable[str]) -> Signed:
        """This node's signature under the list of those whose values arrived."""
        self._once("signed")
        self._arrived = tuple(sorted(set(arrived)))
        least = self._member.least
        if not set(self._arrived) <= self._letters.keys() or self._member.name not in self._arrived:
            self._refuse(f"the list {', '.join(self._arrived)} holds strangers, or not this node")
        if len(self._arrived) < least:
            self._refuse(f"values of {len(self._arrived)} nodes arrived; expected at least {least}")
        return Signed(
            self._member.name, self._member.key.sign(arrived_text(self._context + self._subject, self._arrived))
        )

    def shares(self, signatures: Sequence[Signed]) -> Shares:
        """For each node one share: of its own mask if its values arrived, of its mask key if it was lost."""
        self._once("shares")
        if "signed" not in self._done:
            self._refuse("it is asked to unmask before it signed who arrived")
        signers = {one.node for one in signatures}
        least = self._member.least
        if len(signers & set(self._arrived)) < least:
            self._refuse(f"{len(signers & set(self._arrived))} nodes signed the list; expected at least {least}")
        for one in signatures:
            self._check(
                one.node,
                one.signature,
                arrived_text(self._context + self._subject, self._arrived),
                "the list of the arrived",
            )
        own = {name: both[:LENGTH] for name, both in self._letters.items() if name in self._arrived}
        keys = {name: both[LENGTH:] for name, both in self._letters.items() if name not in self._arrived}
        return Shares(self._member.name, own, keys)

    def _purpose(self, *words: str) -> bytes:
        return self._context + b"\0" + "\0".join(words).encode()

    def _check(self, node: str, signature: bytes, text: bytes, what: str) -> None:
        if node not in self._member.known:
            self._refuse(f"{node} is unknown; expected {', '.join(sorted(self._member.known))}")
        try:
            self._member.known[node].verify(signature, text)
        except InvalidSignature:
            self._refuse(f"the signature of {node} under {what} is wrong")

    def _once(self, step: str) -> None:
        if step in self._done:
            self._refuse(f"it is asked for {step!r} a second time in one round")
        self._done.add(step)

    def _refuse(self, why: str) -> Never:
        raise SecureAggregationError(f"{self._member.name} refused: {why}")

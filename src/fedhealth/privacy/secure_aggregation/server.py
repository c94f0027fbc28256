"""The server's side of one round: it passes messages on, and learns the sum over the nodes whose values arrived."""

from collections.abc import Sequence

import numpy as np
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from fedhealth.federation.contribution import Floats
from fedhealth.privacy.secure_aggregation.errors import SecureAggregationError
from fedhealth.privacy.secure_aggregation.fixed_point import Ring, decode
from fedhealth.privacy.secure_aggregation.masks import agreed, mask
from fedhealth.privacy.secure_aggregation.messages import Keys, Letter, Masked, Shares, mask_purpose
from fedhealth.privacy.secure_aggregation.node import FEWEST_NODES, threshold
from fedhealth.privacy.secure_aggregation.sharing import secret_of, weights


class ServerRound:
    """What the server knows in one round; each call takes all messages of one kind."""

    def __init__(self, context: bytes, everyone: Sequence[Keys], nodes: int) -> None:
        """Begin with the keys of all nodes that came, of ``nodes`` that there are.

        Raises:
            SecureAggregationError: they are too few.
        """
        self._context = context
        self.keys = {keys.node: keys for keys in everyone}
        self.least = max(FEWEST_NODES, threshold(nodes))
        self._senders: set[str] = set()
        self._masked: dict[str, Ring] = {}
        self._subject = b""
        self._enough("sent keys", len(self.keys))

    def pass_on(self, letters: Sequence[Letter]) -> dict[str, list[Letter]]:
        """The letters for each node that is still there."""
        self._senders = {letter.sender for letter in letters}
        self._enough("sent letters", len(self._senders))
        return {name: [one for one in letters if one.receiver == name] for name in sorted(self._senders)}

    def arrived(self, masked: Sequence[Masked], subject: bytes = b"") -> tuple[str, ...]:
        """Take the nodes' values, on ``subject``; give the list of those whose arrived, for all to sign."""
        self._subject = subject
        self._masked = {one.node: one.values for one in masked}
        self._enough("sent values", len(self._masked))
        return tuple(sorted(self._masked))

    def total(self, shares: Sequence[Shares]) -> Floats:
        """The sum over the nodes whose values arrived, shape ``(n,)``, from the shares of those that are left.

        Raises:
            SecureAggregationError: too few are left, or their shares do not fit.
        """
        self._enough("sent shares", len(shares))
        names, used = sorted(self.keys), sorted(shares, key=lambda one: one.node)[: self.least]
        places = {one.node: names.index(one.node) + 1 for one in used}
        weighed = weights(list(places.values()))
        total = np.zeros_like(next(iter(self._masked.values())))
        for values in self._masked.values():
            total = total + values
        try:
            for name in self._masked:
                own = secret_of({places[one.node]: one.own_masks[name] for one in used}, weighed)
                total = total - mask(own, len(total))
            for name in self._senders - self._masked.keys():
                key = secret_of({places[one.node]: one.mask_keys[name] for one in used}, weighed)
                total = total - self._left_over(name, X25519PrivateKey.from_private_bytes(key), len(total))
        except (KeyError, OverflowError):
            raise SecureAggregationError("got shares that do not fit; the round must begin anew") from None
        return decode(total)

    def _left_over(self, lost: str, key: X25519PrivateKey, length: int) -> Ring:
        """The masks that the others share with a node that was lost, as they stand in the sum."""
        if key.public_key().public_bytes_raw() != self.keys[lost].mask_key:
            raise SecureAggregationError(f"the shares of {lost}'s mask key do not give its key")
        left = np.zeros(length, dtype=np.uint64)
        for name in self._masked:
            purpose = mask_purpose(self._context + self._subject, lost, name)
            part = mask(agreed(key, self.keys[name].mask_key, purpose), length)
            left = left + part if name < lost else left - part
        return left

    def _enough(self, what: str, count: int) -> None:
        if count < self.least:
            raise SecureAggregationError(f"{count} nodes {what}; expected at least {self.least}")

"""Shamir's secret sharing (1979): any ``threshold`` shares give a 32-byte secret back, fewer tell nothing of it."""

import secrets
from collections.abc import Mapping, Sequence

PRIME = 2**521 - 1
LENGTH = 66  # bytes of a share
SECRET = 32  # bytes of a secret


def share(secret: bytes, threshold: int, count: int) -> list[bytes]:
    """Shares for the places 1..``count``."""
    coefficients = [int.from_bytes(secret), *(secrets.randbelow(PRIME) for _ in range(threshold - 1))]
    return [_value(coefficients, place).to_bytes(LENGTH) for place in range(1, count + 1)]


def _value(coefficients: Sequence[int], place: int) -> int:
    value = 0
    for coefficient in reversed(coefficients):
        value = (value * place + coefficient) % PRIME
    return value


def weights(places: Sequence[int]) -> dict[int, int]:
    """What the share at each of these places counts in the secret (Lagrange): the same for all secrets."""
    found = {}
    for place in places:
        above, below = 1, 1
        for other in places:
            if other != place:
                above, below = above * other % PRIME, below * (other - place) % PRIME
        found[place] = above * pow(below, -1, PRIME) % PRIME
    return found


def secret_of(shares: Mapping[int, bytes], weighed: Mapping[int, int]) -> bytes:
    """The secret behind shares by place, with the ``weights`` of just these places.

    Raises:
        OverflowError: the shares are of no 32-byte secret.
    """
    return (sum(int.from_bytes(shares[place]) * weight for place, weight in weighed.items()) % PRIME).to_bytes(SECRET)

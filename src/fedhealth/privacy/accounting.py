"""How much Gaussian noise costs: Gaussian differential privacy (Dong, Roth & Su 2022), exact under composition.

A sum whose L2 sensitivity is ``D`` (how far one row, added or removed, can move it), released with Gaussian noise of
standard deviation ``D / mu``, is mu-GDP. Releases of ``mu_1, mu_2, ...`` together are of the mu whose square is the sum
of theirs, also where later ones are chosen after seeing earlier ones; and mu-GDP is (epsilon, delta)-DP for

    delta = Phi(-epsilon / mu + mu / 2) - exp(epsilon) Phi(-epsilon / mu - mu / 2)      (Balle & Wang 2018).
"""

from dataclasses import dataclass
from math import erfc, exp, inf, sqrt

DELTA = 1e-5  # chance that the bound may fail; below one over the number of people


@dataclass(frozen=True)
class Budget:
    """What all answers of a run may tell of one row: (epsilon, delta)-differential privacy."""

    epsilon: float
    delta: float = DELTA

    @property
    def mu(self) -> float:
        """The mu of Gaussian differential privacy that this allows; ValueError where the numbers make no sense."""
        return mu_of(self.epsilon, self.delta)


def delta_of(mu: float, epsilon: float) -> float:
    """The delta of (epsilon, delta)-DP that mu-GDP gives; both at least 0."""
    if mu == 0:
        return 0.0
    return max(0.0, _phi(-epsilon / mu + mu / 2) - exp(min(epsilon, 700.0)) * _phi(-epsilon / mu - mu / 2))


def _phi(z: float) -> float:
    return erfc(-z / sqrt(2)) / 2  # exact also far out, where one minus a probability is not


def epsilon_of(mu: float, delta: float = DELTA) -> float:
    """The least epsilon of (epsilon, delta)-DP that mu-GDP gives, rounded up by less than one in a million."""
    if mu == inf:
        return inf
    low, high = 0.0, 1.0
    if delta_of(mu, low) <= delta:
        return 0.0
    while delta_of(mu, high) > delta:
        high *= 2
    while high - low > 1e-7 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if delta_of(mu, middle) > delta else (low, middle)
    return high


def mu_of(epsilon: float, delta: float = DELTA) -> float:
    """The greatest mu whose mu-GDP gives (epsilon, delta)-DP, rounded down by less than one in a million.

    Raises:
        ValueError: epsilon is not above 0, or delta not between 0 and 1.
    """
    if not epsilon > 0:
        raise ValueError(f"epsilon: got {epsilon}; expected a number above 0")
    if not 0 < delta < 1:
        raise ValueError(f"delta: got {delta}; expected a number between 0 and 1")
    low, high = 0.0, 1.0
    while delta_of(high, epsilon) <= delta:
        high *= 2
    while high - low > 1e-7 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if delta_of(middle, epsilon) <= delta else (low, middle)
    return low

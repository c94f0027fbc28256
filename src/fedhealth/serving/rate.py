"""How often one caller may ask: a bucket of tokens each, filled at a steady rate (Turner 1986)."""

import math
import os
import time
from collections.abc import Callable

USUAL = 200.0  # requests a second
SECONDS_AT_ONCE = 10.0  # a caller that was quiet may ask this many seconds' worth at once
MOST_CALLERS = 10_000


class Rate:
    """Counts the requests of each caller; ``per_second`` requests a second for long, ten times that at once."""

    def __init__(self, per_second: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_second = per_second
        self._most = max(per_second * SECONDS_AT_ONCE, 1.0)
        self._clock = clock
        self._buckets: dict[str, tuple[float, float]] = {}

    def wait(self, caller: str) -> int:
        """Count a request: 0, or the whole seconds after which the caller may try again."""
        now = self._clock()
        left, seen = self._buckets.get(caller, (self._most, now))
        left = min(left + (now - seen) * self.per_second, self._most)
        if left < 1.0:
            return max(math.ceil((1.0 - left) / self.per_second), 1)
        if len(self._buckets) >= MOST_CALLERS and caller not in self._buckets:
            self._forget(now)
        self._buckets[caller] = (left - 1.0, now)
        return 0

    def _forget(self, now: float) -> None:
        """Drop who has a full bucket again; if nobody has, everybody: memory has an end."""
        kept = {who: one for who, one in self._buckets.items() if now - one[1] < self._most / self.per_second}
        self._buckets = kept if len(kept) < MOST_CALLERS else {}


def usual_rate() -> float:
    """Requests a second of one caller: ``FEDHEALTH_RATE``, else 200.

    Raises:
        ValueError: the setting is not a number above 0.
    """
    text = os.environ.get("FEDHEALTH_RATE") or str(USUAL)
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < math.inf:
        raise ValueError(f"FEDHEALTH_RATE: got {text!r}; expected requests a second of one caller, above 0")
    return rate

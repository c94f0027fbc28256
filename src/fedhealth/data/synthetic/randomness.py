"""Random numbers for the synthetic world: every stream has a name, and nothing is global."""

import zlib

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def generator(seed: int, *names: str | int) -> np.random.Generator:
    """The random stream of that name in the world ``seed`` (at least 0).

    Streams of different names are independent, so one more row, node or year never changes another's numbers.
    """
    key = tuple(zlib.crc32(str(name).encode()) for name in names)
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def autoregression(rng: np.random.Generator, persistence: Floats | float, shape: tuple[int, ...]) -> Floats:
    """Stationary AR(1) series with mean 0 and variance 1, running along the first axis.

    ``z[t] = p[t] z[t-1] + sqrt(1 - p[t]^2) e[t]``, where ``e`` is standard normal.

    Args:
        rng: the stream to draw from.
        persistence: correlation with the step before, 0..1; broadcast to ``shape`` (its first entry is not
            used).
        shape: ``(steps, ...)``.
    """
    series = rng.standard_normal(shape)
    kept = np.broadcast_to(np.asarray(persistence, dtype=np.float64), shape)
    fresh = np.sqrt(1 - kept**2)
    for step in range(1, shape[0]):
        series[step] = kept[step] * series[step - 1] + fresh[step] * series[step]
    return series

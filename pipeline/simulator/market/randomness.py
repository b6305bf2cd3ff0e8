"""Randomness addressed by name: the same (key, counters) give the same number, in any order, in any process.

Never a stream that must be read from its beginning.
"""

from hashlib import blake2b
from statistics import NormalDist

import numpy as np
import numpy.typing as npt

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_FIRST = 0xBF58476D1CE4E5B9
_SECOND = 0x94D049BB133111EB
_NORMAL = NormalDist()
_UNIT = 1 / (1 << 53)


def key_of(*names: object) -> int:
    """A 64-bit key for those names."""
    text = "\x1f".join(map(str, names)).encode()
    return int.from_bytes(blake2b(text, digest_size=8).digest(), "little")


def mix(key: int, *counters: int) -> int:
    """64 well mixed bits for those counters (the SplitMix64 finalizer, once a counter)."""
    state = key
    for counter in counters:
        state = (state + _GOLDEN * (2 * counter + 1)) & _MASK
        state = ((state ^ (state >> 30)) * _FIRST) & _MASK
        state = ((state ^ (state >> 27)) * _SECOND) & _MASK
        state ^= state >> 31
    return state


def gauss(key: int, *counters: int) -> float:
    """A standard normal number for those counters."""
    return _NORMAL.inv_cdf(((mix(key, *counters) >> 11) + 0.5) * _UNIT)


def spread(key: int, counters: npt.NDArray[np.int64]) -> npt.NDArray[np.float64]:
    """For each counter a number of mean 0 and variance 1, evenly spread."""
    state = np.uint64(key) + np.uint64(_GOLDEN) * (2 * counters.astype(np.uint64) + np.uint64(1))
    state = (state ^ (state >> np.uint64(30))) * np.uint64(_FIRST)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(_SECOND)
    state ^= state >> np.uint64(31)
    even: npt.NDArray[np.float64] = ((state >> np.uint64(11)).astype(np.float64) + 0.5) * _UNIT - 0.5
    return even * 12**0.5


def generator(key: int, counter: int) -> np.random.Generator:
    """A generator of many numbers for that counter."""
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, 0, counter & _MASK]))

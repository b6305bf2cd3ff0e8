"""Which of several ingesters takes which series: by rendezvous hash, so that a changed number of shards moves few."""

import re
from dataclasses import dataclass
from hashlib import blake2b
from typing import Final

from pipeline.errors import UsageError
from schemas.series import SeriesKey

_WRITTEN: Final = re.compile(r"([1-9]\d*)/([1-9]\d*)")


@dataclass(frozen=True, slots=True)
class Shard:
    """The `number`-th of `of` shares, counted from 1."""

    number: int = 1
    of: int = 1

    def takes(self, key: SeriesKey) -> bool:
        """Whether this share holds the series. Every series is in exactly one share."""
        return self.of == 1 or max(range(1, self.of + 1), key=lambda number: _weight(key, number)) == self.number

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"


def parse_shard(text: str) -> Shard:
    """`2/4` is the second of four shares."""
    written = _WRITTEN.fullmatch(text.strip())
    if written is None or int(written[1]) > int(written[2]):
        raise UsageError(f"{text!r} is no share; write it as NUMBER/OF, for example 2/4, counted from 1")
    return Shard(int(written[1]), int(written[2]))


def _weight(key: SeriesKey, number: int) -> bytes:
    return blake2b(f"{key}|{number}".encode(), digest_size=8).digest()

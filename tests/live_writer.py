"""Live candles for tests that are not asynchronous themselves: written by the writer of the ingester."""

import asyncio
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from pipeline.candle import CandleWrite
from pipeline.store.candles.live import AsyncCandleWriter, WriteReport


class _Found:
    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    async def to_list(self, length: int | None) -> list[Any]:
        return list(self._cursor)


class _Awaited:
    """A synchronous collection with the methods of an asynchronous one."""

    def __init__(self, collection: Any) -> None:
        self._collection = collection

    def with_options(self, **options: Any) -> "_Awaited":
        return _Awaited(self._collection.with_options(**options))

    async def bulk_write(self, *arguments: Any, **options: Any) -> Any:
        return self._collection.bulk_write(*arguments, **options)

    def find(self, *arguments: Any) -> _Found:
        return _Found(self._collection.find(*arguments))


class _AwaitedDatabase:
    def __init__(self, database: Any) -> None:
        self._database = database

    def __getitem__(self, name: str) -> _Awaited:
        return _Awaited(self._database[name])


def write_live(database: Any, candles: Sequence[CandleWrite]) -> WriteReport:
    """What a new `AsyncCandleWriter` does with these candles. It may be called while a loop runs in this thread."""
    writer = AsyncCandleWriter(_AwaitedDatabase(database))
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, writer.write(candles)).result()

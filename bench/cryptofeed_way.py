"""cryptofeed's own MongoDB backend, given frames that are decoded already: it appends a document a frame, and keeps no
candle current. Measured where it is installed; it is no dependency of the project."""

import asyncio
import importlib.util
import time
from decimal import Decimal
from typing import Any

from pipeline.store import connect

_FRAMES_A_TURN = 1_000


def is_installed() -> bool:
    """Whether there is anything to measure."""
    return importlib.util.find_spec("cryptofeed") is not None


def frames_stored_a_second(uri: str, seconds: float) -> float:
    """Frames a second that are in the database in the end."""
    return asyncio.run(_measure(uri, seconds))


async def _measure(uri: str, seconds: float) -> float:
    from cryptofeed.backends.mongo import CandlesMongo  # noqa: PLC0415 - only where it is installed

    with connect.client(uri) as client:
        collection = client["bench"]["cryptofeed"]
        collection.drop()
        backend = CandlesMongo(db="bench", host=uri, key="cryptofeed")
        backend.start(asyncio.get_running_loop())
        handed, begun = 0, time.perf_counter()
        while time.perf_counter() - begun < seconds:
            for number in range(_FRAMES_A_TURN):
                await backend(_candle(number), time.time())
            handed += _FRAMES_A_TURN
            await backend.queue.join()
        passed = time.perf_counter() - begun
        backend.worker.cancel()
        await asyncio.gather(backend.worker, return_exceptions=True)
        stored = collection.count_documents({})
        if stored != handed:
            raise RuntimeError(f"cryptofeed was handed {handed} frames and stored {stored}")
        return handed / passed


def _candle(number: int) -> Any:
    from cryptofeed.types import Candle  # noqa: PLC0415

    price = Decimal("60500.0") + number
    return Candle(
        "BINANCE_FUTURES",
        f"S{number % 500}-USDT-PERP",
        1767225600.0,
        1767225659.999,
        "1m",
        number,
        *(price, price, price, price),
        Decimal("7.25"),
        closed=False,
        timestamp=1767225601.0,
    )

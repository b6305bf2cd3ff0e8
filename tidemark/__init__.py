"""Tidemark in Python: candles, signals and what came of them as polars tables, and the orders that fetch more.

    import tidemark

    with tidemark.open() as tm:
        print(tm.signals(symbol="BTCUSDT", since="2d"))

Importing it costs next to nothing and opens nothing. `docs/python.md` has a page of examples.
"""

from tidemark.door import Tidemark, open  # noqa: A004 - `tidemark.open()`, as a file is opened

__all__ = ["Tidemark", "open"]

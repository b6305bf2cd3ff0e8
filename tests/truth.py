"""What is stored and journaled against what the exchange knows to be so: differences in words, or none."""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from decimal import Decimal
from itertools import chain
from typing import Any

import polars as pl

from pipeline.simulator.handle import RunningSimulator
from pipeline.store.candles.store import CandleStore
from pipeline.timeline import to_ms
from schemas.accounts import Snapshot
from schemas.orders import Order
from schemas.series import SeriesKey

TOLD = ("open", "high", "low", "close", "volume", "quote_volume", "trades", "taker_buy_base", "taker_buy_quote")
ENTERING = frozenset({"trial", "entry", "add"})
IN_DOUBT = frozenset({"intended", "sent", "unknown"})
AROUND = 10_000
"""Milliseconds: the clocks of the two may be so far apart."""
ROUNDED = Decimal("0.00000001")
"""The exchange tells its amounts to so much."""


def candle_differences(
    simulator: RunningSimulator,
    store: CandleStore,
    keys: Iterable[SeriesKey],
    since: int,
    until: int,
    contract_size: Decimal | None = None,
) -> Iterator[str]:
    """The candles that open in [since, until] and are not stored, closed, as they truly were. `contract_size`: in a
    market that counts contracts, which writes these where others write coins, and coins where others write money."""
    for key in keys:
        table = store.load(key, since, until).filter(pl.col("closed"))
        stored = dict(zip(table["t"].cast(pl.Int64).to_list(), table.select(TOLD).iter_rows(), strict=True))
        for row in simulator.truth_klines(key.symbol, key.interval, since, until):
            volume, quote, base, taker = (float(row[column]) for column in (5, 7, 9, 10))
            if contract_size is not None:
                volume, quote, base, taker = quote, volume * float(contract_size), taker, base * float(contract_size)
            truth = (*map(float, row[1:5]), volume, quote, row[8], base, taker)
            if stored.get(int(row[0])) != truth:
                yield f"{key} {row[0]}: stored {stored.get(int(row[0]))}, truth {truth}"


def order_differences(ledger: Sequence[dict[str, Any]], orders: Iterable[Order]) -> Iterator[str]:
    """Where the journal is not what the exchange's ledger of the account says: every fill journaled and counted, no
    order in doubt, no entry sent twice, one entry a signal."""
    journal = {one.id: one for one in orders}
    fills = fills_of(ledger)
    entries = [
        one["client_id"]
        for one in ledger
        if one["kind"] == "Accepted" and one["client_id"] in journal and journal[one["client_id"]].leg in ENTERING
    ]
    for order_id, times in Counter(entries).items():
        if times > 1:
            yield f"an entry was sent {times} times: {order_id}"
    for signal, times in Counter(journal[one].signal for one in set(entries)).items():
        if times > 1:
            yield f"{times} entries of one signal: {signal}"
    for order_id, order in journal.items():
        story = [(one.state, one.by, one.detail) for one in order.history]
        filled = fills.get(order_id, Decimal(0))
        if not order.algo and order.filled != filled:
            yield f"{order_id} {order.created_at}: {order.filled} journaled, {filled} filled; {story}"
        if order.state in IN_DOUBT:
            yield f"{order_id}: {story}"
    for client_id in fills:
        if client_id.startswith("tm-") and client_id not in journal:
            yield f"fills that nobody journaled: {client_id}"


def fills_of(ledger: Iterable[dict[str, Any]]) -> dict[str, Decimal]:
    """What was truly filled of each order."""
    fills: dict[str, Decimal] = {}
    for one in ledger:
        if one["kind"] == "Fill":
            fills[one["client_id"]] = fills.get(one["client_id"], Decimal(0)) + Decimal(one["quantity"])
    return fills


def wallet_differences(ledger: Iterable[dict[str, Any]], lines: Iterable[Snapshot]) -> Iterator[str]:
    """The lines of an account's books whose wallet is not what its ledger comes to by then. What moved around that
    moment may be in it or not: of such a line nothing can be told."""
    moves = list(chain.from_iterable(map(_moved, ledger)))
    for line in lines:
        at, mine = to_ms(line.at), [(time, money) for time, asset, money in moves if asset == line.asset]
        if not any(abs(time - at) < AROUND for time, _ in mine):
            come_to = sum((money for time, money in mine if time < at), Decimal(0))
            if abs(come_to - line.wallet) > ROUNDED * len(mine):
                yield f"{line.id}: {line.wallet} in the books, {come_to} at the exchange"


def _moved(entry: dict[str, Any]) -> Iterator[tuple[int, str, Decimal]]:
    """When, in which asset, and by how much a wallet was moved."""
    at = entry["time"]
    if entry["kind"] in {"Deposit", "Funding", "Insured"}:
        yield at, entry["asset"], Decimal(entry["amount"])
    elif entry["kind"] == "Fill":
        yield at, entry["asset"], Decimal(entry["realised"])
        yield at, entry["fee_asset"], -Decimal(entry["fee"])


def naked(held: Iterable[str], stops: Collection[Any]) -> Iterator[str]:
    """The symbols in which something is held and no stop stands."""
    stopped = {one.symbol for one in stops if one.order_type == "STOP_MARKET"}
    return (f"a position without its stop: {symbol}" for symbol in held if symbol not in stopped)

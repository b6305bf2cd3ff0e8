"""What a backtest goes by: stored minutes, mark prices, funding, and the rules of a symbol. Asks the database only."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from typing import Final, NamedTuple

from pipeline.app.opened import Opened
from pipeline.app.wiring import exchange_of
from pipeline.errors import UsageError
from pipeline.exchange.listed import ending
from pipeline.exchange.products.product import Ask
from pipeline.research.backtest.asked import Asked, Change
from pipeline.research.backtest.exchange import assumed_fee
from pipeline.research.backtest.funding import Due, schedule_of
from pipeline.research.backtest.minutes import Minutes
from pipeline.store.candles.store import CandleStore
from pipeline.store.funding import FundingStore
from pipeline.store.series import SeriesStore
from pipeline.store.symbols import SymbolStore
from pipeline.timeline import DAY, MINUTE, iso, to_datetime, to_ms
from schemas.series import SeriesKey
from schemas.symbols import Symbol

ASSUMED: Final = "0.01 % was assumed for them"
"""Of settlements that are not stored."""
_PRICES: Final = ("open", "high", "low", "close")


class Read(NamedTuple):
    """Candles that a run goes by: from when to when, and how often the series had changed before they were read."""

    first: int
    last: int
    changes: int


def stored_minutes(tm: Opened, symbol: str) -> Read:
    """All that there are of them."""
    known = SeriesStore(tm.db).get(SeriesKey(tm.environment, symbol, "1m"))
    if known is None or known.first is None or known.last_closed is None:
        raise UsageError(
            f"no 1m candles of {symbol} are stored, and fills are decided on them. Fetch them: tidemark backfill "
            f"{symbol} --interval 1m"
        )
    return Read(to_ms(known.first), to_ms(known.last_closed), known.changes)


def own_holes(tm: Opened, symbol: str) -> list[tuple[int, int]]:
    """The minutes that the exchange itself does not have, from when to when: nobody traded in them."""
    known = SeriesStore(tm.db).get(SeriesKey(tm.environment, symbol, "1m"))
    return [] if known is None else [(to_ms(one.start), to_ms(one.end)) for one in known.holes]


def minutes_of(
    tm: Opened, spans: Mapping[str, Read], wanted: Mapping[str, Read]
) -> tuple[dict[str, Minutes], list[str]]:
    """What fills are decided on, and what is to be said of it. Who has none is left out, if others have some."""
    found: dict[str, Minutes] = {}
    lacking: list[str] = []
    notes: list[str] = []
    for symbol, (since, until, _) in wanted.items():
        key = SeriesKey(tm.environment, symbol, "1m")
        columns = CandleStore(tm.db).columns(key, since, until, ("t", "closed", *_PRICES))
        closed = columns["closed"].astype(bool)
        times = columns["t"][closed]
        if not len(times):
            lacking.append(
                f"no 1m candles of {symbol} are stored from {iso(since)} to {iso(max(since, until))}: stored are "
                f"{to_datetime(spans[symbol].first):%Y-%m-%d} to {to_datetime(spans[symbol].last):%Y-%m-%d}"
            )
            continue
        prices = (columns[name][closed] for name in _PRICES)
        found[symbol] = Minutes.of(symbol, Decimal(1).scaleb(-symbol_of(tm, symbol).decimals), times, *prices)
        if holes := int((~found[symbol].there).sum()):
            notes.append(f"{symbol} lacks {holes} minutes: nothing could trade in them")
    if not found:
        raise UsageError("; ".join(lacking))
    return found, [*(f"{one}. It is left out" for one in lacking), *notes]


def endings_of(tm: Opened, minutes: Mapping[str, Minutes], end: int) -> dict[str, int]:
    """When trading of each ended, of those whose did for good by then. None of those that go on behind what is read."""
    found = {}
    for symbol, one in minutes.items():
        known, rules = SeriesStore(tm.db).get(SeriesKey(tm.environment, symbol, "1m")), symbol_of(tm, symbol)
        is_whole = known is not None and known.last_closed is not None and to_ms(known.last_closed) < one.end
        is_gone = known is not None and known.gone is not None
        if is_whole and (is_gone or ending(symbol, rules.status, to_ms(rules.delivery), end) is not None):
            found[symbol] = one.end
    return found


def parts_told(tm: Opened, asked: Asked, start: int | None) -> list[str]:
    """Of each symbol that was not there all the time, or not from the `start` that was asked for, from when to when it
    was, and why."""
    told, begin = [], asked.start if start is None else start + MINUTE
    for symbol, one in asked.minutes.items():
        if one.start > begin:
            is_new = to_ms(symbol_of(tm, symbol).onboarded) + DAY > one.start
            why = "it was listed then" if is_new else "nothing older is stored"
            told.append(f"{symbol} took part from {_minute_of(one.start)} on: {why}")
        if one.end < asked.end:
            why = "its trading ended" if symbol in asked.endings else "nothing newer is stored"
            is_settled = symbol in asked.endings and asked.product.arithmetic.is_borrowed
            why += f", and what was held of it {'was settled at its last price' if is_settled else 'stayed'}"
            told.append(f"{symbol} took part until {_minute_of(one.end)}: {why}")
    return told


def _minute_of(moment: int) -> str:
    return f"{to_datetime(moment):%Y-%m-%d %H:%M}"


def marks_of(
    tm: Opened, minutes: Mapping[str, Minutes], read: dict[SeriesKey, Read], notes: list[str]
) -> dict[str, Minutes]:
    """The mark prices that are stored of these minutes; what lacks is said."""
    found: dict[str, Minutes] = {}
    if Ask.MARK_KLINES not in exchange_of(tm.settings).product.endpoints:
        return found
    for symbol, one in minutes.items():
        key = SeriesKey(tm.environment, symbol, "1m").mark
        known = SeriesStore(tm.db).get(key)
        columns = CandleStore(tm.db).columns(key, one.start, one.end - MINUTE, ("t", "closed", *_PRICES))
        closed = columns["closed"].astype(bool)
        times = columns["t"][closed]
        read[key] = Read(one.start, one.end - MINUTE, 0 if known is None else known.changes)
        if len(times):
            found[symbol] = one.marked(times, *(columns[name][closed] for name in _PRICES))
        wanted = int(one.there.sum())
        if (lacks := wanted - len(times)) > 0:
            notes.append(
                f"{lacks:,} of {wanted:,} mark prices of {symbol} are not stored: liquidation looked at the last price "
                f"there. Fetch them: tidemark backfill {symbol} --interval 1m"
            )
    return found


def symbol_of(tm: Opened, symbol: str) -> Symbol:
    """Its rules, as they are stored."""
    found = SymbolStore(tm.db).get(tm.environment, symbol)
    if found is None or found.filters is None:
        raise UsageError(
            f"the rules of {symbol} are not stored, so nobody can say which orders it takes. Fetch them: tidemark "
            f"backfill {symbol} --interval 1m"
        )
    return found


def rules_of(tm: Opened, symbol: str, start: int, end: int, notes: list[str]) -> tuple[Symbol, list[Change]]:
    """Its rules as they were when the run begins, and as they changed on the way; what is not known of them is said."""
    now = symbol_of(tm, symbol)
    if not now.recorded or to_ms(now.recorded[0].since) > start:
        since = f"{now.recorded[0].since:%Y-%m-%d}" if now.recorded else "now"
        notes.append(f"the rules of {symbol} are recorded from {since} on: what was before went by those")
    later = [one.since for one in now.recorded[1:] if start < to_ms(one.since) <= end]
    notes.extend(f"the rules of {symbol} changed on {one:%Y-%m-%d}, and the run with them" for one in later)
    begins, changes = now.at(to_datetime(start)), [Change(_minute(one), now.at(one)) for one in later]
    told = [each.symbol.taker_fee is not None for each in (Change(start, begins), *changes)]
    if not all(told):
        fee = assumed_fee(exchange_of(tm.settings).product) * 100
        until = next((f" before {one.since:%Y-%m-%d}" for one in now.recorded if one.taker_fee is not None), "")
        notes.append(f"what the account paid for an order of {symbol} is not recorded{until}: {fee:.2f} % was assumed")
    return begins, changes


def _minute(moment: datetime) -> int:
    """The next full one."""
    return -(-to_ms(moment) // MINUTE) * MINUTE


def funding_of(tm: Opened, symbol: str, start: int, end: int, notes: list[str]) -> list[Due]:
    """Its settlements, those of a perpetual contract; what is assumed of them is said."""
    if "PERPETUAL" not in symbol_of(tm, symbol).contract_type:
        return []
    due = schedule_of(FundingStore(tm.db, tm.environment).load(symbol, start, end), start, end)
    unknown = sum(not one.known for one in due)
    if unknown:
        notes.append(
            f"{unknown} of {len(due)} settlements of {symbol} are not stored: {ASSUMED}. Fetch them: "
            f"tidemark backfill {symbol} --interval 1m"
        )
    return due

"""A market that trades exactly what a test wrote down, and a desk to trade on it."""

from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from decimal import Decimal
from typing import Any

import pytest

from pipeline.simulator.errors import ApiError
from pipeline.simulator.products.cm import TERMS
from pipeline.simulator.types import QUARTER, Klines, SymbolSpec, Tick
from pipeline.simulator.venue import Venue, coin_desks
from pipeline.simulator.worth import Inverse
from pipeline.timeline import DAY, HOUR, Interval

D = Decimal
START = 20_000 * DAY

BTC = SymbolSpec("BTCUSDT", "BTC", "USDT", D("0.1"), D("0.001"), 0, price_precision=2, quantity_precision=3)
ETH = SymbolSpec(
    "ETHUSDT", "ETH", "USDT", D("0.01"), D("0.01"), 0, price_precision=2, quantity_precision=3, max_orders=3,
    max_algo_orders=2, max_quantity=D(10_000), market_max_quantity=D(5_000),
)  # fmt: skip
PERP = SymbolSpec(
    "BTCUSD_PERP", "BTC", "USD", D("0.1"), D(1), 0, price_precision=1, quantity_precision=0, min_notional=D(0),
    max_quantity=D(1_000_000), market_max_quantity=D(60_000), worth=Inverse("BTC", D(100)), bracket_unit=D("0.0001"),
)  # fmt: skip
DATED = replace(PERP, symbol="BTCUSD_241004", kind=QUARTER, delivery=START + 10 * HOUR)
COIN_ETH = replace(
    PERP, symbol="ETHUSD_PERP", base="ETH", tick=D("0.01"), price_precision=2, worth=Inverse("ETH", D(10)),
    bracket_unit=D("0.002"), max_orders=3, max_algo_orders=2,
)  # fmt: skip
PENDING = SymbolSpec("NEWUSDT", "NEW", "USDT", D(0), D(1), 0, status="PENDING_TRADING")
CLOSED = SymbolSpec("OLDUSDT", "OLD", "USDT", D("0.1"), D(1), 0, status="CLOSE")


@dataclass
class ScriptedMarket:
    """Prices as written: `paths` holds (ms after START, price in ticks, steps) by symbol; the mark price is the last
    price unless `marks` says otherwise."""

    paths: dict[str, list[tuple[int, int, int]]]
    marks: dict[str, list[tuple[int, Decimal]]] = field(default_factory=dict)
    specs: dict[str, SymbolSpec] = field(
        default_factory=lambda: {spec.symbol: spec for spec in (BTC, ETH, PENDING, CLOSED)}
    )
    asked: list[str] = field(default_factory=list)

    def klines(self, symbol: str, interval: Interval, start: int, end: int) -> Klines:
        raise AssertionError("the venue needs no candles")

    def forming(self, symbol: str, interval: Interval, now: int) -> tuple[Klines, int]:
        raise AssertionError("the venue needs no candles")

    def ticks(self, symbol: str, after: int, until: int) -> list[Tick]:
        self.asked.append(symbol)
        path = self.paths[symbol]
        first, last = (bisect_right(path, time - START, key=lambda row: row[0]) for time in (after, until))
        return [Tick(START + at, price, steps, buyer_is_maker=False) for at, price, steps in path[first:last]]

    def price(self, symbol: str, now: int) -> int:
        path = self.paths[symbol]
        return path[max(0, bisect_right(path, now - START, key=lambda row: row[0]) - 1)][1]

    def mark_price(self, symbol: str, now: int) -> Decimal:
        marks = self.marks.get(symbol)
        if marks is None:
            return self.price(symbol, now) * self.specs[symbol].tick
        return marks[max(0, bisect_right(marks, now - START, key=lambda row: row[0]) - 1)][1]


@dataclass
class Desk:
    """One account on a venue; times are ms after START."""

    market: ScriptedMarket
    venue: Venue
    name: str = "trader"
    at: int = 0
    root: str = "fapi"
    symbol: str = "BTCUSDT"

    def ask(self, method: str, path: str, **params: object) -> Any:
        sent = {name: str(value) for name, value in params.items()}
        return self.venue.call(self.name, method, f"/{self.root}/{path}", sent, START + self.at)

    def order(self, side: str, quantity: object, price: object = None, **params: object) -> Any:
        """A limit order at a price, or a market order without one."""
        symbol = params.pop("symbol", self.symbol)
        terms = {"type": "MARKET"} if price is None else {"type": "LIMIT", "price": price, "timeInForce": "GTC"}
        sent = {"symbol": symbol, "side": side, "quantity": quantity, "newOrderRespType": "RESULT"} | terms | params
        return self.ask("POST", "v1/order", **sent)

    def algo(self, side: str, kind: str, **params: object) -> Any:
        sent = {"symbol": self.symbol, "algoType": "CONDITIONAL", "side": side, "type": kind} | params
        return self.ask("POST", "v1/algoOrder", **sent)

    def state(self, order: dict[str, Any]) -> Any:
        return self.ask("GET", "v1/order", symbol=order["symbol"], orderId=order["orderId"])

    def algo_state(self, algo: dict[str, Any]) -> Any:
        return self.ask("GET", "v1/algoOrder", algoId=algo["algoId"])

    def wait(self, until: int) -> None:
        self.at = until
        self.venue.advance(START + until)

    def positions(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.ask("GET", f"{'v2' if self.root == 'fapi' else 'v1'}/positionRisk")
        return found

    def position(self, symbol: str | None = None, side: str = "BOTH") -> Any:
        wanted = (symbol or self.symbol, side)
        return next(row for row in self.positions() if (row["symbol"], row["positionSide"]) == wanted)

    def amount(self, symbol: str | None = None, side: str = "BOTH") -> Decimal:
        return D(self.position(symbol, side)["positionAmt"])

    def wallets(self) -> dict[str, Decimal]:
        rows = self.ask("GET", f"{'v3' if self.root == 'fapi' else 'v1'}/balance")
        return {row["asset"]: D(row["balance"]) for row in rows}

    def wallet(self) -> Decimal:
        return next(iter(self.wallets().values()))

    def events(self, kind: str | None = None) -> list[dict[str, Any]]:
        return [event for event in self.venue.drain_events(self.name) if kind in {None, event["e"]}]


def refused(action: Callable[[], object]) -> int:
    """The code of the refusal."""
    with pytest.raises(ApiError) as caught:
        action()
    return caught.value.code


@pytest.fixture(name="open_desk")
def _open_desk() -> Callable[..., Desk]:
    def build(
        btc: list[tuple[int, int, int]] | None = None,
        eth: list[tuple[int, int, int]] | None = None,
        *,
        deposit: object = 10_000,
        seed: int = 0,
        marks: dict[str, list[tuple[int, Decimal]]] | None = None,
    ) -> Desk:
        paths = {"BTCUSDT": btc or [(0, 600_000, 1)], "ETHUSDT": eth or [(0, 300_000, 1)]}
        market = ScriptedMarket(paths, marks or {})
        desk = Desk(market, Venue(market, seed=seed, now=START))
        desk.venue.open_account(desk.name, {"USDT": D(str(deposit))})
        return desk

    return build


@pytest.fixture(name="open_coin_desk")
def _open_coin_desk() -> Callable[..., Desk]:
    """COIN-M: a perpetual and a dated contract of BTC, which stands at 50,000 unless told otherwise, and one of ETH."""

    def build(
        btc: list[tuple[int, int, int]] | None = None,
        dated: list[tuple[int, int, int]] | None = None,
        eth: list[tuple[int, int, int]] | None = None,
        *,
        deposit: object = 1,
        seed: int = 0,
        marks: dict[str, list[tuple[int, Decimal]]] | None = None,
    ) -> Desk:
        still = [(0, 500_000, 1)]
        paths = {
            "BTCUSD_PERP": btc or still,
            DATED.symbol: dated or btc or still,
            "ETHUSD_PERP": eth or [(0, 300_000, 1)],
        }
        market = ScriptedMarket(paths, marks or {}, {spec.symbol: spec for spec in (PERP, DATED, COIN_ETH)})
        venue = Venue(market, coin_desks, replace(TERMS, assets=("BTC", "ETH")), seed=seed, now=START)
        desk = Desk(market, venue, root="dapi", symbol="BTCUSD_PERP")
        desk.venue.open_account(desk.name, {"BTC": D(str(deposit)), "ETH": 20 * D(str(deposit))})
        return desk

    return build


@pytest.fixture(name="coins")
def _coins(open_coin_desk: Callable[..., Desk]) -> Desk:
    """BTC stands at 50,000, ETH at 3,000, and nothing moves."""
    return open_coin_desk()


@pytest.fixture(name="desk")
def _desk(open_desk: Callable[..., Desk]) -> Desk:
    """BTCUSDT stands at 60,000, ETHUSDT at 3,000, and nothing moves."""
    return open_desk()


@pytest.fixture(name="code")
def _code() -> Callable[[Callable[[], object]], int]:
    return refused

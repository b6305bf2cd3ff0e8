"""An account of contracts in a run: held against a margin, at the simulator's venue. Pure."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import msgspec

from pipeline.exchange.trading import Trading
from pipeline.exchange.user_events import AccountUpdate, AlgoUpdate, OrderUpdate, decode_event
from pipeline.execution.account.fees import Rates
from pipeline.execution.engine import guards
from pipeline.execution.engine.events import Event, OrderSeen, PositionsSeen
from pipeline.execution.engine.machine import Core
from pipeline.execution.engine.state import PositionRecord
from pipeline.execution.gateway import reports_in
from pipeline.execution.gateway.desk import DayStarts
from pipeline.execution.gateway.position_desk import PositionDesk
from pipeline.research.backtest.asked import Asked
from pipeline.research.backtest.exchange import ACCOUNT, venue_of
from pipeline.research.backtest.market import HistoryMarket, Stance
from pipeline.research.backtest.quiet import Barriers, Stake, barriers_of, levels_of
from pipeline.simulator.types import SymbolSpec
from pipeline.simulator.venue.account import Account
from pipeline.simulator.venue.orders import PositionSide


class MarginedBooks:
    """The account, at an exchange of its own."""

    is_compared = False
    """Whether what it is worth is only told by a comparison."""

    def __init__(
        self,
        asked: Asked,
        market: HistoryMarket,
        specs: Mapping[str, SymbolSpec],
        core: Core,
        **more: Any,
    ) -> None:
        """`core`: the executor, which watches the price of what has nothing at the exchange."""
        self._asset, self._market, self._specs, self._core = asked.asset, market, specs, core
        self._rates = Rates(SimpleNamespace(prices=dict), asked.product.margin)  # type: ignore[arg-type]
        self.venue = venue_of(asked.product, asked.asset, market, now=asked.start, judged=market.judged, **more)
        self.venue.open_account(ACCOUNT, {asked.asset: asked.assumptions.equity})

    @property
    def _account(self) -> Account:
        return self.venue.books(ACCOUNT)

    def equity(self, now: int) -> Decimal:
        """The wallet, and what all positions would bring."""
        account = self._account
        gains = (one.unrealised(self._market.mark_price(one.symbol, now)) for one in account.held())
        return account.wallets[self._asset] + sum(gains, Decimal())

    def watched(self) -> set[str]:
        """The symbols whose prices can change something."""
        return self._account.watched() | self._core.watching()

    def levels(self, symbol: str) -> Iterator[int]:
        """The prices at which an order waits, or the executor, in ticks."""
        spec = self._specs[symbol]
        yield from levels_of(self._account, spec)
        yield from (int(price / spec.tick) for price, _ in self._levels_of_books(symbol))

    def stance(self, symbol: str) -> Stance:
        """What is held, and which way resting orders would take it."""
        account = self._account
        quantity = account.position(symbol, PositionSide.BOTH).quantity
        entering = sum(one.side.sign for one in account.orders_of(symbol) if not one.only_closes)
        return Stance(_sign(quantity), _sign(entering))

    def barriers(self, symbol: str) -> Barriers:
        """Between which prices nothing happens."""
        return barriers_of(self._account, self._specs[symbol], self._levels_of_books(symbol))

    def _levels_of_books(self, symbol: str) -> Iterator[tuple[Decimal, bool]]:
        for one in self._core.watched(symbol):
            yield from guards.levels(one)

    def stakes(self) -> tuple[float, list[Stake]]:
        """The wallet, and the positions."""
        account = self._account
        held = [Stake(one.symbol, float(one.quantity), float(one.cost)) for one in account.held()]
        return float(account.wallets[self._asset]), held

    def desk(
        self,
        trading: Trading,
        day_starts: DayStarts,
        listing: reports_in.Market,
        _ours: Callable[[], Iterable[PositionRecord]],
        _now: Callable[[], int],
    ) -> PositionDesk:
        """Whom the gateway asks."""
        return PositionDesk(trading, trading, day_starts, dict, self._rates, listing)

    def heard(self, told: Mapping[str, object], listing: reports_in.Market) -> Iterable[Event]:
        """What the account's stream says, in the executor's words."""
        match event := decode_event(msgspec.json.encode(told)):
            case OrderUpdate():
                yield OrderSeen(reports_in.order_streamed(event), "stream")
            case AlgoUpdate():
                yield OrderSeen(reports_in.algo_streamed(event), "stream")
            case AccountUpdate():
                yield PositionsSeen(reports_in.positions_streamed(event), event.time, "stream")
                yield from reports_in.account_changes(event, listing)


def _sign(value: Decimal | int) -> int:
    return (value > 0) - (value < 0)

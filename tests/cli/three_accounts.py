"""The account of a running demo in each of its three markets: something is held everywhere, and then it is closed, and
exchange, journal, stored positions and candles must say the same."""

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import chain, islice
from typing import Any

from pipeline.app.home_exchange import HomeExchange
from pipeline.exchange.environments import ENVIRONMENTS, at
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.exchange_names import market_of
from pipeline.simulator.handle import RunningSimulator
from pipeline.simulator.options import READY_KEY, READY_SECRET
from pipeline.store.watchlist import Watchlist
from pipeline.timeline import HOUR, interval
from schemas.positions import Position
from schemas.series import SeriesKey
from tests.desks import Desk, desk_of
from tests.whole import House, until

HELD = {"sim": "ETHUSDT", "sim-cm": "ETHUSD_PERP", "sim-spot": "ETHUSDT"}
OF_MINUTES = {"sim": "BTCUSDT", "sim-cm": "BTCUSD_PERP", "sim-spot": "BTCUSDT"}
SYMBOLS = {
    "TIDEMARK_EXCHANGES__SIM_CM__SYMBOLS": "BTCUSD_PERP,ETHUSD_PERP",
    "TIDEMARK_EXCHANGES__SIM_SPOT__SYMBOLS": "BTCUSDT,ETHUSDT",
}
BY_THE_MINUTE = json.dumps({name: {"intervals": "1m"} for name in ("ma_breakout", "metronome")})
"""Of what is held there are longer candles alone, so that only a test speaks of it."""


@dataclass
class Accounts:
    """Those of all markets at once."""

    desks: list[Desk]
    _held: dict[str, Position] = field(default_factory=dict)
    _left_at: int = 0

    def watch_minutes(self) -> None:
        """From now on, candles of a minute are kept in each market."""
        for name, symbol in OF_MINUTES.items():
            Watchlist(self.desks[0].db, name).watch([SeriesKey(name, symbol, "1m")], datetime.now(UTC))

    def enter(self) -> None:
        """A signal in each market; wait until what it led to is held and protected, and everything says the same."""
        self._carry_out("entry")
        self._held = {desk.exchange: desk.stored()[desk.symbol] for desk in self.desks}

    def leave(self) -> None:
        """A signal in each market; wait until nothing is held, which one entry and one exit came to."""
        self._left_at = self._now()
        self._carry_out("exit")
        for desk in self.desks:
            position = self._held[desk.exchange]
            entry, exit_ = (one for one in desk.journal() if one.symbol == desk.symbol and one.filled)
            assert (entry.leg, entry.signal, exit_.leg) == ("entry", position.signal, "exit")
            assert exit_.filled == desk.in_whole_steps(position.quantity)

    def until_candles_are_as_they_were(self) -> None:
        """Everything that closed since two hours before the leaving, the candle that was open then included, is stored
        as it truly was."""
        turned = interval("1m").ceil(self._left_at)

        def unlike() -> list[str]:
            since = self._left_at - 2 * HOUR
            return list(islice(chain.from_iterable(desk.wrong_candles(since) for desk in self.desks), 5))

        until(lambda: self._now() > turned and not unlike(), "the candles to be as they were", unlike)

    def _carry_out(self, kind: str) -> None:
        said = {desk.exchange: desk.say(kind) for desk in self.desks}

        def verdicts() -> dict[str, tuple[str, str | None]]:
            return {desk.exchange: desk.verdict(said[desk.exchange]) for desk in self.desks}

        def differences() -> list[str]:
            self.desks[0].simulator.forgive()  # whoever looks must not use up what the executors may ask
            return [f"{desk.exchange}: {wrong}" for desk in self.desks for wrong in desk.wrong()]

        def done() -> bool:
            held = [desk.stored().get(desk.symbol) for desk in self.desks]
            return all(one and one.stop_order for one in held) if kind == "entry" else not any(held)

        until(lambda: "fresh" not in {verdict for verdict, _ in verdicts().values()}, f"{kind} to be decided", verdicts)
        assert {verdict for verdict, _ in verdicts().values()} == {"taken"}, verdicts()
        until(lambda: done() and not differences(), f"{kind} to be carried out", differences)

    def _now(self) -> int:
        return self.desks[0].simulator.now()


@contextmanager
def accounts_of(house: House, db: Any) -> Iterator[Accounts]:
    """While it runs."""
    urls = HomeExchange(house.home).urls
    with ExitStack() as ends:
        desks = []
        for name, symbol in HELD.items():
            url = urls[market_of(name)]
            place = replace(at(ENVIRONMENTS[name], url), weight_limit=1_000_000)  # a test asks more than a trader may
            client = ends.enter_context(RestClient(place, Credentials(READY_KEY, signer_for(READY_SECRET))))
            client.sync_clock()
            desks.append(desk_of(symbol, db, RunningSimulator(url), client))
        yield Accounts(desks)

"""Trading on spot as one object: calls and the time come in, answers, events and a ledger come out. It opens no socket,
checks no signature and reads no clock."""

from collections.abc import Mapping
from decimal import Decimal

from pipeline.errors import UsageError
from pipeline.simulator.errors import ApiError
from pipeline.simulator.spot import events
from pipeline.simulator.spot.account import Account
from pipeline.simulator.spot.desks import spot_desks
from pipeline.simulator.spot.engine import Engine
from pipeline.simulator.spot.tape import Tape
from pipeline.simulator.types import Prices
from pipeline.simulator.venue.account import PositionMode
from pipeline.simulator.venue.engine import Ids
from pipeline.simulator.venue.formats import money
from pipeline.simulator.venue.ledger import Deposit, LedgerEntry
from pipeline.simulator.venue.params import Params


class SpotVenue:
    """The accounts, the matching engine and the market that moves them."""

    def __init__(self, market: Prices, *, seed: int = 0, now: int) -> None:
        self._engine = Engine(market, Ids(seed))
        self._tape = Tape(self._engine, now)
        self._routes = spot_desks(self._engine)

    @property
    def ledger(self) -> list[LedgerEntry]:
        """Everything that truly happened, in order."""
        return self._engine.ledger

    @property
    def endpoints(self) -> frozenset[tuple[str, str]]:
        """Every (method, path) that `call` answers."""
        return frozenset(self._routes)

    def open_account(self, name: str, deposits: Mapping[str, Decimal], mode: PositionMode | None = None) -> None:
        """A new account with so much of each asset in it."""
        del mode  # there are no positions
        if name in self._engine.accounts:
            raise ValueError(f"there is already an account {name!r}")
        now = self._tape.now
        self._engine.accounts[name] = Account(name, opened=now, updated=now)
        for asset, amount in deposits.items():
            self.deposit(name, asset, amount, now)

    def deposit(self, name: str, asset: str, amount: Decimal, now: int) -> None:
        """Something comes in from outside, or goes out: less than nothing, and no more than is free."""
        self.advance(now)
        account, now = self._engine.accounts[name], self._tape.now
        if account.free(asset) + amount < 0:
            raise UsageError(f"{name!r} has not so much {asset} free")
        self._engine.ledger.append(Deposit(now, name, amount, asset))
        account.balance(asset).free += amount
        account.events.append(events.balance_update(asset, money(amount), now))
        self._engine.tell(account, {asset}, now)

    def call(self, account: str, method: str, path: str, params: dict[str, str], now: int) -> object:
        """The answer of a signed endpoint, JSON-able; a refusal is an ApiError."""
        handler = self._routes.get((method, path))
        if handler is None:
            raise ApiError(-5000, f"Path {path}, Method {method} is invalid", 404)
        self.advance(now)
        return handler(self._engine.accounts[account], Params(params), self._tape.now)

    def advance(self, now: int) -> None:
        """Let the market run up to now: fills and stops."""
        self._tape.advance(now)

    def pass_over(self, now: int) -> None:
        """Let time go by to then without a look at the market: who calls knows that nothing happens."""
        self._tape.now = max(now, self._tape.now)

    def books(self, account: str) -> Account:
        """The account as it stands: to be read, never changed."""
        return self._engine.accounts[account]

    def drain_events(self, account: str) -> list[dict[str, object]]:
        """The user data events since the last time, in order."""
        books = self._engine.accounts[account]
        drained, books.events = books.events, []
        return drained


def open_spot(market: Prices, seed: int, now: int) -> SpotVenue:
    """Trading on those pairs."""
    return SpotVenue(market, seed=seed, now=now)

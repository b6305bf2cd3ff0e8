"""The trading half of the exchange as one object: calls and the time come in, answers, events and a ledger come out.
It opens no socket, checks no signature and reads no clock."""

from collections.abc import Callable, Mapping
from decimal import Decimal

from pipeline.errors import UsageError
from pipeline.simulator.errors import ApiError
from pipeline.simulator.types import Prices
from pipeline.simulator.venue.account import Account, PositionMode
from pipeline.simulator.venue.desks import Desks, usd_desks
from pipeline.simulator.venue.engine import Engine, Ids
from pipeline.simulator.venue.funding import EveryEightHours, Fundings
from pipeline.simulator.venue.ledger import Deposit, LedgerEntry
from pipeline.simulator.venue.liquidation import Force, close_by_force
from pipeline.simulator.venue.params import Params
from pipeline.simulator.venue.tape import Moments, Tape, each_second
from pipeline.simulator.venue.terms import USD_TERMS, Terms


class Venue:
    """The accounts, the matching engine and everything that moves them."""

    def __init__(
        self,
        market: Prices,
        desks: Desks = usd_desks,
        terms: Terms = USD_TERMS,
        *,
        seed: int = 0,
        now: int,
        looks: Moments = each_second,
        fundings: Fundings | None = None,
        judged: Callable[[str, int], Decimal] | None = None,
    ) -> None:
        self._engine = Engine(market, Ids(seed), fundings or EveryEightHours(market), terms, judged)
        self._tape = Tape(self._engine, now, looks)
        self._routes = desks(self._engine)

    @property
    def ledger(self) -> list[LedgerEntry]:
        """Everything that truly happened, in order."""
        return self._engine.ledger

    @property
    def endpoints(self) -> frozenset[tuple[str, str]]:
        """Every (method, path) that `call` answers."""
        return frozenset(self._routes)

    def open_account(self, name: str, deposits: Mapping[str, Decimal], mode: PositionMode | None = None) -> None:
        """A new account with so much of each asset in it. `mode`: what it shares with the person's other accounts."""
        if name in self._engine.accounts:
            raise ValueError(f"there is already an account {name!r}")
        now = self._tape.now
        account = Account(name, alias=self._engine.ids.text(8), opened=now, mode=mode or PositionMode())
        account.mode.accounts.append(account)
        self._engine.accounts[name] = account
        for asset, amount in deposits.items():
            self._transfer(account, asset, amount, now)

    def deposit(self, name: str, asset: str, amount: Decimal, now: int) -> None:
        """Something comes in from outside, or goes out: less than nothing, and no more than is free."""
        self.advance(now)
        account, time = self._engine.accounts[name], self._tape.now
        if account.available(self._engine.marks(time), asset) + amount < 0:
            raise UsageError(f"{name!r} has not so much {asset} free")
        self._transfer(account, asset, amount, time)
        reason = "DEPOSIT" if amount > 0 else "WITHDRAW"
        self._engine.tell(account, reason, time, (), asset=asset, change=amount)

    def _transfer(self, account: Account, asset: str, amount: Decimal, time: int) -> None:
        self._engine.ledger.append(Deposit(time, account.name, amount, asset))
        self._engine.book_income(account, "TRANSFER", "", amount, time, asset=asset, info="TRANSFER")

    def call(self, account: str, method: str, path: str, params: dict[str, str], now: int) -> object:
        """The answer of a signed endpoint, JSON-able; a refusal is an ApiError."""
        handler = self._routes.get((method, path))
        if handler is None:
            raise ApiError(-5000, f"Path {path}, Method {method} is invalid", 404)
        self.advance(now)
        return handler(self._engine.accounts[account], Params(params), self._tape.now)

    def advance(self, now: int) -> None:
        """Let the market run up to now: fills, triggers, trailing stops, funding, liquidations."""
        self._tape.advance(now)

    def pass_over(self, now: int) -> None:
        """Let time go by to then without a look at the market: who calls knows that nothing happens."""
        self._tape.now = max(now, self._tape.now)

    def books(self, account: str) -> Account:
        """The account as it stands: to be read, never changed."""
        return self._engine.accounts[account]

    def close_by_force(self, account: str, symbol: str, force: Force, now: int) -> int:
        """Close what an account holds of a symbol without being asked; how many positions that were."""
        self.advance(now)
        return close_by_force(self._engine, self._engine.accounts[account], symbol, force, self._tape.now)

    def drain_events(self, account: str) -> list[dict[str, object]]:
        """The user data events since the last time, in order."""
        books = self._engine.accounts[account]
        drained, books.events = books.events, []
        return drained

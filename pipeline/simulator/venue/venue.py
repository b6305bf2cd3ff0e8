"""The trading half of the exchange as one object: calls and the time come in, answers, events and a ledger come out.
It opens no socket, checks no signature and reads no clock."""

from collections.abc import Callable, Mapping
from decimal import Decimal

from pipeline.simulator.errors import ApiError
from pipeline.simulator.types import Market
from pipeline.simulator.venue.account import MARGIN_ASSET, Account
from pipeline.simulator.venue.account_desk import AccountDesk
from pipeline.simulator.venue.algo_desk import AlgoDesk
from pipeline.simulator.venue.engine import Engine, Ids
from pipeline.simulator.venue.ledger import Deposit, LedgerEntry
from pipeline.simulator.venue.liquidation import Force, close_by_force
from pipeline.simulator.venue.order_desk import OrderDesk
from pipeline.simulator.venue.params import Params
from pipeline.simulator.venue.report_desk import ReportDesk
from pipeline.simulator.venue.tape import Moments, Tape, each_second

Handler = Callable[[Account, Params, int], object]
Routes = dict[tuple[str, str], Handler]
Desks = Callable[[Engine], Routes]


class Venue:
    """The accounts, the matching engine and everything that moves them."""

    def __init__(
        self,
        market: Market,
        desks: "Desks | None" = None,
        *,
        seed: int = 0,
        now: int,
        looks: Moments = each_second,
    ) -> None:
        self._engine = Engine(market, Ids(seed))
        self._tape = Tape(self._engine, now, looks)
        self._routes = (desks or usd_desks)(self._engine)

    @property
    def ledger(self) -> list[LedgerEntry]:
        """Everything that truly happened, in order."""
        return self._engine.ledger

    @property
    def endpoints(self) -> frozenset[tuple[str, str]]:
        """Every (method, path) that `call` answers."""
        return frozenset(self._routes)

    def open_account(self, name: str, deposit: Decimal, others: Mapping[str, Decimal] | None = None) -> None:
        """A new account with so much USDT in it, and so much of other assets."""
        if name in self._engine.accounts:
            raise ValueError(f"there is already an account {name!r}")
        now = self._tape.now
        account = Account(name, alias=self._engine.ids.text(8), opened=now)
        self._engine.accounts[name] = account
        for asset, amount in {MARGIN_ASSET: deposit, **(others or {})}.items():
            self._engine.ledger.append(Deposit(now, name, amount, asset))
            self._engine.book_income(account, "TRANSFER", "", amount, now, asset=asset, info="TRANSFER")

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


def no_desks(engine: Engine) -> Routes:
    """Nobody answers: a market without trading."""
    del engine
    return {}


def usd_desks(engine: Engine) -> Routes:
    """Which desk of USD-M answers which endpoint."""
    orders, algos = OrderDesk(engine), AlgoDesk(engine)
    settings, reports = AccountDesk(engine), ReportDesk(engine)
    return {
        ("POST", "/fapi/v1/order"): orders.place,
        ("PUT", "/fapi/v1/order"): orders.amend,
        ("DELETE", "/fapi/v1/order"): orders.cancel,
        ("GET", "/fapi/v1/order"): orders.query,
        ("GET", "/fapi/v1/openOrder"): orders.query_open,
        ("GET", "/fapi/v1/openOrders"): orders.list_open,
        ("GET", "/fapi/v1/allOrders"): orders.list_all,
        ("DELETE", "/fapi/v1/allOpenOrders"): orders.cancel_all,
        ("POST", "/fapi/v1/batchOrders"): orders.place_batch,
        ("DELETE", "/fapi/v1/batchOrders"): orders.cancel_batch,
        ("POST", "/fapi/v1/algoOrder"): algos.place,
        ("GET", "/fapi/v1/algoOrder"): algos.query,
        ("DELETE", "/fapi/v1/algoOrder"): algos.cancel,
        ("GET", "/fapi/v1/openAlgoOrders"): algos.list_open,
        ("GET", "/fapi/v1/allAlgoOrders"): algos.list_all,
        ("DELETE", "/fapi/v1/algoOpenOrders"): algos.cancel_all,
        ("POST", "/fapi/v1/leverage"): settings.set_leverage,
        ("POST", "/fapi/v1/marginType"): settings.set_margin_type,
        ("GET", "/fapi/v1/positionSide/dual"): settings.position_mode,
        ("POST", "/fapi/v1/positionSide/dual"): settings.set_position_mode,
        ("GET", "/fapi/v1/multiAssetsMargin"): settings.multi_assets,
        ("POST", "/fapi/v1/multiAssetsMargin"): settings.set_multi_assets,
        ("GET", "/fapi/v1/feeBurn"): settings.fee_burn,
        ("POST", "/fapi/v1/feeBurn"): settings.set_fee_burn,
        ("GET", "/fapi/v1/symbolConfig"): settings.symbol_config,
        ("GET", "/fapi/v1/accountConfig"): settings.account_config,
        ("GET", "/fapi/v1/leverageBracket"): settings.leverage_brackets,
        ("GET", "/fapi/v1/commissionRate"): settings.commission_rate,
        ("GET", "/fapi/v2/balance"): reports.balance,
        ("GET", "/fapi/v3/balance"): reports.balance,
        ("GET", "/fapi/v2/account"): reports.account_v2,
        ("GET", "/fapi/v3/account"): reports.account_v3,
        ("GET", "/fapi/v2/positionRisk"): reports.positions_v2,
        ("GET", "/fapi/v3/positionRisk"): reports.positions_v3,
        ("GET", "/fapi/v1/userTrades"): reports.trades,
        ("GET", "/fapi/v1/income"): reports.incomes,
    }

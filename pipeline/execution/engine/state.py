"""What the executor knows of orders, positions, signals and the account. Data only; `now` and every other time is the
exchange's time in milliseconds, as well as this machine knows it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Final, Literal

from pipeline.exchange.products.arithmetic import LINEAR, Arithmetic
from pipeline.exchange.products.instrument import Instrument
from pipeline.settings import MarginType, Portfolio, Risk
from pipeline.timeline import MINUTE, SECOND
from schemas.orders import UNSETTLED, Leg, OrderType, State
from schemas.shared import Mode
from schemas.signals import Kind, Side, Verdict
from schemas.symbols import Filters

OrderSide = Literal["BUY", "SELL"]
Owner = tuple[str | None, str | None]
"""A strategy, and the interval of its signals."""
By = Literal["executor", "answer", "stream", "query", "fills", "position", "reconcile", "command"]

ZERO: Final = Decimal(0)
ENTERING: Final[tuple[Leg, ...]] = ("trial", "entry", "add")
DECIDED: Final[tuple[Leg, ...]] = (*ENTERING, "exit")
"""What a signal asks for itself."""
CLOSING: Final[tuple[Leg, ...]] = ("exit", "flatten")
PROTECTING: Final[tuple[Leg, ...]] = ("stop", "take_profit")
IN_DOUBT: Final[tuple[State, ...]] = ("intended", "sent", "unknown")
STANDING: Final[tuple[State, ...]] = ("accepted", "partially_filled")


@dataclass(frozen=True, slots=True)
class Policy:
    """How the executor behaves: the settings, and how patient it is."""

    environment: str
    risk: Risk
    portfolio: Portfolio = field(default_factory=Portfolio)
    production: bool = False
    arithmetic: Arithmetic = LINEAR
    """How the market counts."""
    coins: bool = False
    """Whether each contract is margined in a coin of its own. What stops the day then stops it in one coin, and is
    called by it."""
    taker_fee: Decimal = Decimal("0.0005")
    recv_window: int = 5 * SECOND
    late_margin: int = 2 * SECOND
    """How long after the end of its receive window a request is still given the time to show up."""
    surely_listed: int = MINUTE
    """How long after that a trade may take to be listed."""
    ask_first: int = 250
    ask_most: int = 4 * SECOND
    """Between two questions about the same thing: at first, and at most."""
    answer_within: int = 20 * SECOND
    """A request that has not ended by then counts as lost."""
    resend_most: int = 3
    """How often an entry that surely did not arrive is sent again, while its signal is fresh."""
    retry_after: int = 30 * SECOND
    naked_again: int = 2 * SECOND
    """Before something that was refused, but that nothing depends on, is tried again."""
    reconcile_every: int = MINUTE
    look_at_stops_every: int | None = None
    """Where the stream tells nothing of conditional orders: how often each that stands is asked for."""

    @property
    def owned(self) -> bool:
        """Whether what is bought are coins of the account's own, ours beside others' in one balance: nothing is short,
        lent or margined."""
        return not self.arithmetic.is_borrowed

    @property
    def books(self) -> bool:
        """Whether each strategy has a book."""
        return self.portfolio.books

    @property
    def netted(self) -> bool:
        """Whether they add up to the one position that the exchange has."""
        return self.books and not self.owned

    @property
    def apart(self) -> bool:
        """Whether each is a position of its own: the exchange knows nothing of what its coins are for."""
        return self.books and self.owned

    @property
    def surely_gone(self) -> int:
        """After so long, a request that nobody has seen will not be carried out any more."""
        return self.recv_window + self.late_margin


@dataclass(frozen=True, slots=True)
class SignalView:
    """What the executor reads of a signal. `atr` is the column of that name at its candle."""

    id: str
    symbol: str
    interval: str
    strategy: str
    kind: Kind
    side: Side
    at: int
    price: Decimal
    atr: Decimal | None
    confirmed: bool
    fresh_until: int | None
    verdict: Verdict = "fresh"
    last_word: bool = False
    """Of a signal that closes: no newer one of its strategy speaks for the position again."""

    @property
    def leaves(self) -> Side | None:
        """The side of a position that it closes, if it closes any: an entry closes the other side, and so does a trial
        as long as the position is one itself."""
        if self.kind == "add":
            return None
        if self.kind == "exit":
            return self.side
        return "short" if self.side == "long" else "long"

    def is_late(self, now: int) -> bool:
        """Whether it has stopped being fresh, or never was."""
        return self.fresh_until is None or now > self.fresh_until

    def takes_back(self, other: "SignalView") -> bool:
        """Whether it speaks for the position that the other, older one closes."""
        mine, its = (self.symbol, self.strategy, self.interval), (other.symbol, other.strategy, other.interval)
        return mine == its and self.at > other.at and self.kind != "exit" and self.side == other.leaves


@dataclass(frozen=True, slots=True)
class PlanRecord:
    """What an order's fill means for the position: written with the intent, so that a restart knows it too."""

    strategy: str
    price: Decimal
    atr: Decimal
    unit_quantity: Decimal
    stop_price: Decimal
    take_profit_price: Decimal | None
    fresh_until: int
    cancel_at: int | None = None
    """Of a limit order: what is not filled by then is cancelled."""

    @property
    def send_by(self) -> int:
        """When it is too late to send the order."""
        return self.fresh_until if self.cancel_at is None else self.cancel_at


@dataclass(frozen=True, slots=True)
class OrderRecord:
    """One order as the journal has it. `seen_at` is when the exchange last said something about it."""

    id: str
    symbol: str
    signal: str | None
    leg: Leg
    side: OrderSide
    type: OrderType
    quantity: Decimal | None
    created_at: int
    updated_at: int
    interval: str | None = None
    """Of the signal or the position that it is for; None: from before it was kept."""
    strategy: str | None = None
    """Whose it is; None: of the position as a whole, whoever's that is."""
    turns: bool = False
    """Of a close: its signal is decided once more when nothing is held, to open the other way."""
    state: State = "intended"
    algo: bool = False
    price: Decimal | None = None
    """Of a limit order."""
    trigger_price: Decimal | None = None
    reduce_only: bool = False
    close_position: bool = False
    plan: PlanRecord | None = None
    exchange_id: int | None = None
    attempts: int = 0
    filled: Decimal = ZERO
    average_price: Decimal | None = None
    fee: Decimal | None = None
    kept: Decimal | None = None
    """What the exchange has kept, as its fee, of the coins that it filled; None: not known yet."""
    realized: Decimal | None = None
    slippage_pct: float | None = None
    error_code: int | None = None
    seen_at: int = 0

    @property
    def unsettled(self) -> bool:
        """Whether it still needs watching."""
        return self.state in UNSETTLED

    @property
    def in_doubt(self) -> bool:
        """Whether nobody here knows if the exchange has it."""
        return self.state in IN_DOUBT

    @property
    def may_open(self) -> bool:
        """Whether it opens something, whatever it is for: the close of one strategy's book does, where another holds
        the other way."""
        return self.leg not in PROTECTING and not self.only_closes

    @property
    def only_closes(self) -> bool:
        """Whether it can open nothing, whatever is held when it comes."""
        return self.reduce_only or self.close_position

    @property
    def stands(self) -> bool:
        """Whether it is open at the exchange, as far as we know."""
        return self.state in STANDING

    @property
    def forgotten(self) -> bool:
        """Whether it stood, and the exchange did not know it any more when it was asked."""
        return self.state == "abandoned" and self.exchange_id is not None

    @property
    def may_come_late(self) -> bool:
        """Whether a copy of it may be carried out after all: it was given up, or what was refused was another copy."""
        return self.state == "abandoned" or (self.state == "rejected" and self.attempts > 1)

    @property
    def owner(self) -> Owner:
        """The strategy and the interval whose it is; without a strategy it is the position's as a whole."""
        return self.strategy or (self.plan.strategy if self.plan else None), self.interval

    @property
    def rests(self) -> bool:
        """Whether it waits at the exchange for its price, or what is left of it does."""
        return self.type == "LIMIT" and self.stands

    @property
    def fired(self) -> bool:
        """Of a conditional order: its price was reached, and what its order did is not known yet. It waits for nothing
        any more, so it protects nothing."""
        return self.algo and self.state == "partially_filled"

    @property
    def waits(self) -> bool:
        """Of a conditional order: it stands, and its price has not been reached."""
        return self.state == "accepted"


@dataclass(frozen=True, slots=True)
class Counted:
    """So much of what an order has filled is in the books, at that price. `at`: when that was last counted."""

    order: str
    filled: Decimal
    at: int
    price: Decimal | None = None


@dataclass(frozen=True, slots=True)
class PositionRecord:
    """A position and what it needs. The quantity is what the exchange last said (`as_of`), never a sum of our own."""

    symbol: str
    quantity: Decimal = ZERO
    entry_price: Decimal = ZERO
    ours: bool = True
    side: Side | None = None
    strategy: str | None = None
    interval: str | None = None
    """Of the signals it was opened by; None: from before it was kept."""
    signal: str | None = None
    trial: bool = False
    """Nothing but its trial was filled."""
    unit_quantity: Decimal | None = None
    atr: Decimal | None = None
    last_add_price: Decimal | None = None
    stop_order: str | None = None
    stop_price: Decimal | None = None
    take_profit_order: str | None = None
    take_profit_price: Decimal | None = None
    unprotected_since: int | None = None
    closing: str | None = None
    opened_at: int | None = None
    as_of: int = 0
    entered_at: int = 0
    reduced_at: int = 0
    unheard_at: int = -1
    """A fill that something else told before the stream."""
    parts: tuple[str, ...] = ()
    """Of coins: the orders that have bought them and sold of them."""
    missing: Decimal = ZERO
    """Of coins: how many of ours somebody else has taken."""
    books: tuple["PositionRecord", ...] = ()
    """Where each strategy has a book of its own: what each holds, as if it held it alone. They add up to the
    quantity."""
    counted: tuple[Counted, ...] = ()
    """What is in the books of the orders that were filled lately."""
    evened_at: int = 0
    """When the exchange had said what the books followed: what was filled until then is in them, whoever tells it
    later."""

    @property
    def managed(self) -> bool:
        """Whether it is a position of ours, from its first fill until its end has been told."""
        return self.ours and self.side is not None

    @property
    def is_theirs(self) -> bool:
        """Whether it is held, and not ours."""
        return not self.ours and self.quantity != 0

    @property
    def settled(self) -> bool:
        """Whether the exchange told the quantity after every fill that we know of."""
        return self.as_of >= max(self.entered_at, self.reduced_at) and self.as_of > self.unheard_at

    @property
    def exposed(self) -> bool:
        """Whether there is, or has to be assumed, something to protect."""
        return self.quantity != 0 or self.entered_at > self.as_of

    @property
    def owner(self) -> Owner:
        """The strategy and the interval whose it is."""
        return self.strategy, self.interval

    def belongs_to(self, signal: SignalView) -> bool:
        """Whether it is of the signal's strategy and interval; where its interval is not known, of the strategy."""
        return self.strategy == signal.strategy and self.interval in {None, signal.interval}

    def goes_on_as(self, other: "PositionRecord") -> bool:
        """Whether the other is this very position still, and not one after it."""
        signals = {self.signal, other.signal} - {None}
        return other.managed and other.side == self.side and len(signals) < 2

    def is_left_by(self, signal: SignalView) -> bool:
        """Whether the signal closes it: a trial closes nothing but a trial."""
        return self.side == signal.leaves and (self.trial or signal.kind != "trial")

    @property
    def guarded(self) -> bool:
        """Whether something of ours is to be protected."""
        return self.managed and self.exposed

    @property
    def units(self) -> Decimal:
        """How many units are held."""
        return abs(self.quantity) / self.unit_quantity if self.unit_quantity else ZERO


@dataclass(frozen=True, slots=True)
class OrderTold:
    """What the exchange says about an order: by an answer, a query, a list of open orders, or the stream.

    `state` is None where it used a word we do not know. `algo` says which kind of order spoke: the order that a
    conditional order placed when it fired may carry the same id.
    """

    id: str
    symbol: str
    side: OrderSide
    state: State | None
    filled: Decimal
    at: int
    algo: bool = False
    exchange_id: int | None = None
    average_price: Decimal | None = None
    quantity: Decimal | None = None
    price: Decimal | None = None
    trigger_price: Decimal | None = None
    close_position: bool = False
    kept: Decimal | None = None
    """What was kept of the coins that are filled; None where that is not said."""


@dataclass(frozen=True, slots=True)
class PositionTold:
    """A position as the exchange says it. Signed; zero is flat. Of coins: how many lie on the account, whose ever.
    `changed_at`: when it was last changed, where that is said."""

    symbol: str
    quantity: Decimal
    entry_price: Decimal
    changed_at: int = 0


@dataclass(frozen=True, slots=True)
class TradeTold:
    """A fill, as `userTrades` lists it: it names the exchange's order id, not ours."""

    exchange_id: int
    side: OrderSide
    quantity: Decimal
    price: Decimal
    fee: Decimal | None
    realized: Decimal
    at: int
    kept: Decimal = ZERO
    """What was kept of the coins bought, as its fee."""


@dataclass(frozen=True, slots=True)
class Holding:
    """A position as a statement of the account has it: what it is worth is counted from that, at any later price."""

    symbol: str
    quantity: Decimal
    entry_price: Decimal
    mark_price: Decimal
    at: int
    size: Decimal = Decimal(1)
    """Of a contract."""


@dataclass(frozen=True, slots=True)
class AccountView:
    """What the account is worth in one of the assets that it is margined in: none stands in for another. `day_start` is
    the equity at 00:00 UTC, moved by deposits and withdrawals since."""

    asset: str
    equity: Decimal
    available: Decimal
    at: int
    day_start: Decimal | None = None
    wallet: Decimal | None = None
    holdings: tuple[Holding, ...] = ()
    earned: Mapping[str, Decimal] = field(default_factory=dict)
    """What each symbol has brought today: realised profit, fees and funding."""


@dataclass(frozen=True, slots=True)
class Margin:
    """How the exchange margins a symbol."""

    leverage: int
    type: MarginType

    def __str__(self) -> str:
        return f"leverage {self.leverage}, {self.type}"


@dataclass(frozen=True, slots=True)
class Bracket:
    """What a position worth up to `cap` must keep: notional x ratio - cum; and the most leverage it may have."""

    cap: Decimal
    ratio: Decimal
    cum: Decimal
    leverage: int


@dataclass(frozen=True, slots=True)
class TradingView:
    """One symbol's own trading settings; None means: as in the settings."""

    enabled: bool | None = None
    strategies: tuple[str, ...] | None = None
    intervals: tuple[str, ...] | None = None
    leverage: int | None = None
    stop_atr: Decimal | None = None
    stop_percent: Decimal | None = None
    take_profit_atr: Decimal | None = None
    take_profit_percent: Decimal | None = None
    max_position: Decimal | None = None
    daily_profit_percent: Decimal | None = None
    when_reached: Literal["stop", "close"] = "stop"
    close_asked: int | None = None
    """When a person asked for what is held to be closed; None again when that is done."""

    def traded(self, *, production: bool) -> bool:
        """Whether the symbol is traded: in production only where somebody has said so."""
        return not production if self.enabled is None else self.enabled


@dataclass(frozen=True, slots=True)
class BreakerView:
    """A tripped breaker. `symbol` None: it holds for all, or for all that is margined in `asset`; `until` None: until
    somebody resets it."""

    name: str
    reason: str
    at: int
    symbol: str | None = None
    until: int | None = None
    asset: str | None = None

    def stops(self, symbol: str, asset: str | None) -> bool:
        """Whether nothing is opened in the symbol, which is margined in that asset."""
        return self.symbol in {None, symbol} and self.asset in {None, asset}


@dataclass(frozen=True, slots=True)
class DecisionView:
    """What was decided on a signal: done, or in signal-only mode left at that. `bound`: what kept a unit from being
    larger, of what opens."""

    mode: Mode
    at: int
    units: Decimal
    quantity: Decimal
    notional: Decimal
    equity: Decimal
    leverage: int
    stop_price: Decimal | None = None
    take_profit_price: Decimal | None = None
    bound: str | None = None


@dataclass(slots=True)
class SymbolState:
    """What is known of one symbol. `margin` is what the exchange has set, `margin_at` when we last changed it."""

    instrument: Instrument | None = None
    """None: it is not traded now."""
    margin: Margin | None = None
    margin_at: int = 0
    margin_refused: str | None = None
    brackets: tuple[Bracket, ...] = ()
    taker_fee: Decimal | None = None
    """What the account pays; None: not known yet, and then it is that of the settings."""
    trading: TradingView = TradingView()
    price: Decimal | None = None
    price_at: int = 0
    others_stops: int = 0
    """Stops in the symbol that are not ours, by the last comparison."""
    close_done: int | None = None
    """When what was last closed for a person was asked for."""

    @property
    def filters(self) -> Filters | None:
        """The exchange's limits, where it trades the symbol."""
        return None if self.instrument is None else self.instrument.filters

    @property
    def asset(self) -> str | None:
        """What a position in it is margined in, as far as that is known."""
        return None if self.instrument is None else self.instrument.margin_asset

    @property
    def close_due(self) -> int | None:
        """When a person asked for what is held to be closed, if that is not done."""
        asked = self.trading.close_asked
        return None if asked == self.close_done else asked


def entry_side(side: Side) -> OrderSide:
    """The side of an order that opens."""
    return "BUY" if side == "long" else "SELL"


def exit_side(side: Side) -> OrderSide:
    """The side of an order that closes."""
    return "SELL" if side == "long" else "BUY"


def side_of(quantity: Decimal) -> Side:
    """Which way a position of that signed quantity points."""
    return "long" if quantity > 0 else "short"


def flat(symbol: str, as_of: int = 0) -> PositionRecord:
    """No position."""
    return PositionRecord(symbol, as_of=as_of)

"""What arrives on the user data stream, decoded. Unknown fields and unknown kinds of events are passed over; a message
that cannot be read is `None`, for the caller to count: what it may have said is learnt by asking."""

from decimal import Decimal
from typing import Final

import msgspec

EVENT_NAMES: Final = (
    "ORDER_TRADE_UPDATE",
    "ACCOUNT_UPDATE",
    "ALGO_UPDATE",
    "ACCOUNT_CONFIG_UPDATE",
    "MARGIN_CALL",
    "TRADE_LITE",
    "STRATEGY_UPDATE",
    "GRID_UPDATE",
    "CONDITIONAL_ORDER_TRIGGER_REJECT",
    "listenKeyExpired",
)
"""Every name the exchange has: one that is not asked for is silently not delivered."""


class OrderUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """An order was accepted, filled, amended or ended."""

    symbol: str = msgspec.field(name="s")
    client_id: str = msgspec.field(name="c")
    side: str = msgspec.field(name="S")
    execution: str = msgspec.field(name="x")
    status: str = msgspec.field(name="X")
    order_id: int = msgspec.field(name="i")
    quantity: Decimal = msgspec.field(name="q")
    filled: Decimal = msgspec.field(name="z")
    average_price: Decimal = msgspec.field(name="ap")
    price: Decimal = msgspec.field(name="p", default=Decimal(0))
    last_quantity: Decimal = msgspec.field(name="l", default=Decimal(0))
    last_price: Decimal = msgspec.field(name="L", default=Decimal(0))
    fee: Decimal = msgspec.field(name="n", default=Decimal(0))
    trade_id: int = msgspec.field(name="t", default=0)
    realized: Decimal = msgspec.field(name="rp", default=Decimal(0))
    type: str = msgspec.field(name="o", default="")
    reduce_only: bool = msgspec.field(name="R", default=False)
    position_side: str = msgspec.field(name="ps", default="BOTH")
    time: int = msgspec.field(name="T", default=0)


class AlgoUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """A conditional order was accepted or changed its state."""

    client_id: str = msgspec.field(name="caid")
    algo_id: int = msgspec.field(name="aid")
    symbol: str = msgspec.field(name="s")
    status: str = msgspec.field(name="X")
    side: str = msgspec.field(name="S", default="")
    actual_order_id: str = msgspec.field(name="ai", default="")
    filled: Decimal = msgspec.field(name="aq", default=Decimal(0))
    average_price: Decimal = msgspec.field(name="ap", default=Decimal(0))
    quantity: Decimal = msgspec.field(name="q", default=Decimal(0))
    close_position: bool = msgspec.field(name="cp", default=False)
    trigger_price: Decimal | None = msgspec.field(name="tp", default=None)
    reason: str = msgspec.field(name="rm", default="")
    time: int = 0


class BalanceChange(msgspec.Struct, frozen=True, kw_only=True):
    """An asset's wallet after a change."""

    asset: str = msgspec.field(name="a")
    wallet: Decimal = msgspec.field(name="wb")


class PositionChange(msgspec.Struct, frozen=True, kw_only=True):
    """A position after a change; the amount is signed."""

    symbol: str = msgspec.field(name="s")
    amount: Decimal = msgspec.field(name="pa")
    entry_price: Decimal = msgspec.field(name="ep")
    unrealized: Decimal = msgspec.field(name="up", default=Decimal(0))
    position_side: str = msgspec.field(name="ps", default="BOTH")
    margin_asset: str = msgspec.field(name="ma", default="")


class AccountUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """Balances and positions that changed, and only those."""

    reason: str = msgspec.field(name="m")
    balances: tuple[BalanceChange, ...] = msgspec.field(name="B", default=())
    positions: tuple[PositionChange, ...] = msgspec.field(name="P", default=())
    time: int = 0


class CoinOrderUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """An order for coins was accepted, filled or ended. `cancelled_id`: what the order is called where `client_id` is
    what its cancelling is called. It has no average price: that is `paid` by `filled`."""

    symbol: str = msgspec.field(name="s")
    client_id: str = msgspec.field(name="c")
    cancelled_id: str = msgspec.field(name="C", default="")
    side: str = msgspec.field(name="S")
    type: str = msgspec.field(name="o")
    execution: str = msgspec.field(name="x")
    status: str = msgspec.field(name="X")
    order_id: int = msgspec.field(name="i")
    list_id: int = msgspec.field(name="g", default=-1)
    quantity: Decimal = msgspec.field(name="q")
    price: Decimal = msgspec.field(name="p", default=Decimal(0))
    trigger_price: Decimal = msgspec.field(name="P", default=Decimal(0))
    filled: Decimal = msgspec.field(name="z")
    paid: Decimal = msgspec.field(name="Z", default=Decimal(0))
    last_quantity: Decimal = msgspec.field(name="l", default=Decimal(0))
    last_price: Decimal = msgspec.field(name="L", default=Decimal(0))
    fee: Decimal = msgspec.field(name="n", default=Decimal(0))
    fee_asset: str | None = msgspec.field(name="N", default=None)
    trade_id: int = msgspec.field(name="t", default=-1)
    working_time: int = msgspec.field(name="W", default=-1)
    """Since when it works; of a stop that waits it does not."""
    reason: str = msgspec.field(name="r", default="NONE")
    time: int = msgspec.field(name="T", default=0)

    @property
    def order(self) -> str:
        """What the order is called, whatever happened to it."""
        return self.cancelled_id or self.client_id


class CoinBalance(msgspec.Struct, frozen=True, kw_only=True):
    """What lies on the account of a coin, and what of it orders keep."""

    asset: str = msgspec.field(name="a")
    free: Decimal = msgspec.field(name="f")
    locked: Decimal = msgspec.field(name="l")


class CoinBalances(msgspec.Struct, frozen=True, kw_only=True):
    """Balances that may have changed, and only those."""

    balances: tuple[CoinBalance, ...] = msgspec.field(name="B")
    time: int = msgspec.field(name="u", default=0)


class PairOrder(msgspec.Struct, frozen=True, kw_only=True):
    """One of the orders of a list."""

    order_id: int = msgspec.field(name="i")
    client_id: str = msgspec.field(name="c")


class PairUpdate(msgspec.Struct, frozen=True, kw_only=True):
    """A list of orders was accepted, or has ended: of which only one is carried out."""

    symbol: str = msgspec.field(name="s")
    list_id: int = msgspec.field(name="g")
    kind: str = msgspec.field(name="c")
    status: str = msgspec.field(name="l")
    order_status: str = msgspec.field(name="L")
    client_id: str = msgspec.field(name="C")
    orders: tuple[PairOrder, ...] = msgspec.field(name="O", default=())
    reason: str = msgspec.field(name="r", default="NONE")
    time: int = msgspec.field(name="T", default=0)


class KeyExpired(msgspec.Struct, frozen=True):
    """The listen key, or the subscription, is over: nothing more comes on this connection."""


class Other(msgspec.Struct, frozen=True):
    """An event that nothing here acts on, by its name."""

    name: str


UserEvent = OrderUpdate | AlgoUpdate | AccountUpdate | CoinOrderUpdate | CoinBalances | PairUpdate | KeyExpired | Other


class _Envelope(msgspec.Struct):
    e: str
    E: int = 0
    T: int = 0
    o: msgspec.Raw = msgspec.Raw()
    a: msgspec.Raw = msgspec.Raw()


_envelopes: Final = msgspec.json.Decoder(_Envelope)
_orders: Final = msgspec.json.Decoder(OrderUpdate, strict=False)
_algos: Final = msgspec.json.Decoder(AlgoUpdate, strict=False)
_accounts: Final = msgspec.json.Decoder(AccountUpdate, strict=False)


class _Message(msgspec.Struct):
    event: msgspec.Raw = msgspec.Raw()


class _Name(msgspec.Struct):
    e: str


_messages: Final = msgspec.json.Decoder(_Message)
_names: Final = msgspec.json.Decoder(_Name)
_coin_orders: Final = msgspec.json.Decoder(CoinOrderUpdate, strict=False)
_coin_balances: Final = msgspec.json.Decoder(CoinBalances, strict=False)
_pairs: Final = msgspec.json.Decoder(PairUpdate, strict=False)
_OVER: Final = frozenset({"eventStreamTerminated", "serverShutdown"})


def decode_message(message: bytes) -> UserEvent | None:
    """The event that came as a message of a subscription, or None where it cannot be read. An answer to what was asked
    on the same connection is none."""
    try:
        event = _messages.decode(message).event
        if not event:
            return Other("answer")
        match _names.decode(event).e:
            case "executionReport":
                return _coin_orders.decode(event)
            case "outboundAccountPosition":
                return _coin_balances.decode(event)
            case "listStatus":
                return _pairs.decode(event)
            case name if name in _OVER:
                return KeyExpired()
            case name:
                return Other(name)
    except (msgspec.MsgspecError, ArithmeticError, UnicodeDecodeError):
        return None


def decode_event(message: bytes) -> UserEvent | None:
    """The event, or None where the message cannot be read."""
    try:
        envelope = _envelopes.decode(message)
        match envelope.e:
            case "ORDER_TRADE_UPDATE":
                return _orders.decode(envelope.o)
            case "ALGO_UPDATE":
                return msgspec.structs.replace(_algos.decode(envelope.o), time=envelope.T or envelope.E)
            case "ACCOUNT_UPDATE":
                return msgspec.structs.replace(_accounts.decode(envelope.a), time=envelope.T or envelope.E)
            case "listenKeyExpired":
                return KeyExpired()
            case name:
                return Other(name)
    except (msgspec.MsgspecError, ArithmeticError, UnicodeDecodeError):
        return None

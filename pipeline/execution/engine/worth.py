"""What the account is worth between two comparisons, asset by asset: the exchange's last statement, followed by what
its stream tells of wallet and positions, and by the prices.

Wallet and positions are those of the same statements, so a loss is not counted twice. It decides nothing.
"""

from collections.abc import Iterable
from dataclasses import replace
from decimal import Decimal

from pipeline.execution.engine.events import AccountChanged
from pipeline.execution.engine.memory import Memory
from pipeline.execution.engine.sizing import margin_cost
from pipeline.execution.engine.state import ENTERING, ZERO, AccountView, Holding, OrderRecord
from pipeline.timeline import DAY


class Wallets:
    """A `Worth` for each asset that something is margined in."""

    def __init__(self, memory: Memory) -> None:
        self._memory = memory
        self._each: dict[str, Worth] = {}

    @property
    def known(self) -> bool:
        """Whether there was a statement."""
        return any(one.known for one in self._each.values())

    def assets(self) -> tuple[str, ...]:
        """Those that were heard of."""
        return tuple(self._each)

    def of(self, asset: str | None) -> "Worth":
        """What is margined in that asset. None: nobody knows in which; it is the only one, where there is no other."""
        if asset is None:
            return next(iter(self._each.values())) if len(self._each) == 1 else Worth(self._memory, "")
        found = self._each.get(asset)
        if found is None:
            found = self._each[asset] = Worth(self._memory, asset)
        return found

    def holding(self, symbol: str) -> list[str]:
        """The assets whose worth changes with the symbol's price."""
        return [asset for asset, one in self._each.items() if one.holds(symbol)]


class Worth:
    """Nothing is known before the first statement."""

    def __init__(self, memory: Memory, asset: str) -> None:
        self._memory = memory
        self._asset = asset
        self._arithmetic = memory.policy.arithmetic
        self._told: AccountView | None = None
        self._wallet: Decimal | None = None
        self._held: dict[str, Holding] = {}
        self._rested = ZERO
        """Margin that the exchange keeps, by its last statement, for what was not filled yet of entries that rest."""
        self._lately: list[AccountChanged] = []
        self._wallet_at = 0

    @property
    def known(self) -> bool:
        """Whether there was a statement."""
        return self._told is not None

    def told(self, account: AccountView) -> bool:
        """The exchange's own figures; whether they are news. What the stream told of later moments still holds: it may
        have come while they were read."""
        old = self._told
        if old is not None and account.at < old.at:
            return False
        booked = account.day_start is not None
        if not booked and old is not None and old.at // DAY == account.at // DAY:
            account = replace(account, day_start=old.day_start, earned=old.earned)
        self._told, self._wallet, self._wallet_at = account, account.wallet, account.at
        self._rested = sum((self._kept(one) / self._leverage(one.symbol) for one in self._resting(account.at)), ZERO)
        self._held = {one.symbol: one for one in account.holdings}
        later = sorted((one for one in self._lately if one.asof > account.at), key=lambda one: one.asof)
        self._lately = later
        contained = max((n for n, one in enumerate(later, 1) if one.wallet == account.wallet), default=0)
        for number, change in enumerate(later):
            self._follow(change, moves=booked and number >= contained)
        return True

    def changed(self, event: AccountChanged) -> None:
        """What the stream tells: of each symbol and of the wallet the newest, in whatever order it comes. Money that
        was paid in or out moves what the day began with."""
        told = self._told
        if told is None or event.asof < told.at:
            return
        self._lately.append(event)
        self._follow(event, moves=True)

    def _follow(self, event: AccountChanged, *, moves: bool) -> None:
        """`moves`: what the day began with does not know yet of the money that it says was paid in or out. A statement
        has all that had happened when its wallet was left so, and what is kept of an earlier one has moved already."""
        self._held |= {one.symbol: one for one in event.holdings if one.at >= self._said_at(one.symbol)}
        if event.wallet is None or self._wallet is None or event.asof < self._wallet_at:
            return
        told = self._told
        if moves and not event.earned and told is not None and told.day_start is not None:
            self._told = replace(told, day_start=told.day_start + event.wallet - self._wallet)
        self._wallet, self._wallet_at = event.wallet, event.asof

    def _said_at(self, symbol: str) -> int:
        """When the exchange last said something about what is held of it."""
        shown = self._held.get(symbol)
        return max(shown.at if shown else 0, self._told.at if self._told else 0)

    def holds(self, symbol: str) -> bool:
        """Whether the symbol's price changes what the account is worth."""
        return symbol in self._held and self._held[symbol].quantity != 0

    def now(self) -> AccountView | None:
        """The account as it is now, by the newest prices. `at` stays that of the exchange's own figures."""
        told = self._told
        if told is None or self._wallet is None or told.wallet is None:
            return told
        earned = self._wallet - told.wallet
        unrealized = self._unrealized(self._held.values())
        lost = min(ZERO, self._wallet + unrealized - told.equity - earned)
        freed = self._margin(told.holdings) - self._margin(self._held.values())
        available = told.available + self._rested + earned + freed + lost
        return replace(told, equity=self._wallet + unrealized, available=available)

    def result(self, symbol: str) -> Decimal:
        """What the symbol has brought today, with what its position would bring now."""
        booked = self._told.earned.get(symbol, ZERO) if self._told else ZERO
        return booked + self._unrealized([self._held[symbol]] if symbol in self._held else [])

    def reserved(self) -> Decimal:
        """Margin of entries that are under way, or were filled since the account last said something: of each, as much
        as the account does not show as a position yet."""
        entries = (one for one in self._orders() if one.leg in ENTERING)
        news = (one for one in entries if one.unsettled or (one.filled and one.seen_at > self._said_at(one.symbol)))
        return sum((self._unseen(one) for one in news), ZERO)

    def _resting(self, at: int) -> Iterable[OrderRecord]:
        """Entries that rested then, as far as one has heard."""
        return (one for one in self._orders() if one.leg in ENTERING and one.rests and one.seen_at < at)

    def _orders(self) -> Iterable[OrderRecord]:
        """Those of symbols that are margined in the asset, or may be: of some it is not known yet."""
        ours = {None, self._asset}
        return (one for one in self._memory.orders.values() if self._memory.market(one.symbol).asset in ours)

    def _unseen(self, order: OrderRecord) -> Decimal:
        shown = self._held.get(order.symbol)
        unseen = self._memory.unseen(order, None if shown is None else shown.quantity)
        price = order.plan.price if order.plan else order.average_price or order.price
        market = self._memory.market(order.symbol)
        fee = self._memory.policy.taker_fee if market.taker_fee is None else market.taker_fee
        worth = self._memory.notional(order.symbol, unseen, price) if price else ZERO
        return margin_cost(worth, self._leverage(order.symbol), fee)

    def _leverage(self, symbol: str) -> int:
        margin = self._memory.market(symbol).margin
        return margin.leverage if margin else 1

    def _unrealized(self, held: Iterable[Holding]) -> Decimal:
        return sum((self._gain(one, self._price(one)) for one in held if one.quantity), ZERO)

    def _gain(self, one: Holding, price: Decimal) -> Decimal:
        value = self._arithmetic.value
        return one.quantity * (value(price, one.size) - value(one.entry_price, one.size))

    def _price(self, holding: Holding) -> Decimal:
        market = self._memory.market(holding.symbol)
        return market.price if market.price is not None and market.price_at >= holding.at else holding.mark_price

    def _margin(self, held: Iterable[Holding]) -> Decimal:
        """What they take, where the leverage is known: what others hold elsewhere is told again within a minute."""
        known = ((one, self._memory.market(one.symbol).margin) for one in held)
        return sum((self._cost(one) / margin.leverage for one, margin in known if margin and one.quantity), ZERO)

    def _cost(self, one: Holding) -> Decimal:
        return abs(one.quantity * self._arithmetic.value(one.entry_price, one.size))

    def _kept(self, order: OrderRecord) -> Decimal:
        """What the rest of a limit order is worth."""
        rest = (order.quantity or ZERO) - order.filled
        return self._memory.notional(order.symbol, rest, order.price) if order.price else ZERO

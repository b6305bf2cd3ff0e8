"""The fault panel and the ledger over HTTP, under `/sim`: what a test does to the exchange, and asks of it."""

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec
from aiohttp import web

from pipeline.errors import UsageError
from pipeline.simulator.exchange import Exchange, Floor
from pipeline.simulator.faults.rules import read_fault
from pipeline.simulator.options import Address
from pipeline.simulator.types import UNLISTED
from pipeline.simulator.venue.liquidation import Force
from pipeline.simulator.venue.venue import Venue
from pipeline.simulator.wire.format import rest_rows
from pipeline.simulator.wire.hub import Hub, Listener
from pipeline.timeline import UnknownIntervalError, interval

ENDED: Final = ("SETTLING", "CLOSE", UNLISTED)
"""What a symbol can be once it trades no more."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Panel:
    """The endpoints, on the port of one market. What is asked of a symbol is asked of that market; the rest is of the
    whole exchange, whose connections are those of `hubs`. Everything they refuse is a 400 with `{"error": why}`."""

    def __init__(
        self, exchange: Exchange, floor: Floor, hubs: Mapping[str, Hub], addresses: dict[str, Address]
    ) -> None:
        self._exchange = exchange
        self._floor = floor
        self._hubs = hubs
        self._addresses = addresses

    def mount(self, app: web.Application) -> None:
        """Put the endpoints under `/sim`."""
        for method, path, handler in (
            ("GET", "/sim", self.state),
            ("POST", "/sim/faults", self.add_fault),
            ("GET", "/sim/faults", self.list_faults),
            ("DELETE", "/sim/faults", self.clear_faults),
            ("DELETE", "/sim/faults/{number:[0-9]+}", self.remove_fault),
            ("POST", "/sim/connections/drop", self.drop_connections),
            ("POST", "/sim/connections/freeze", self.freeze_connections),
            ("POST", "/sim/listen-keys/expire", self.expire_listen_keys),
            ("POST", "/sim/clock/skew", self.skew_clock),
            ("POST", "/sim/limits/forgive", self.forgive),
            ("POST", "/sim/symbols/delist", self.delist),
            ("POST", "/sim/positions/close", self.close_position),
            ("POST", "/sim/deposits", self.deposit),
            ("POST", "/sim/connections/retire", self.retire_connections),
            ("GET", "/sim/ledger", self.ledger),
            ("GET", "/sim/klines", self.truth),
        ):
            app.router.add_route(method, path, _polite(handler))

    async def state(self, _: web.Request) -> web.Response:
        """What the exchange is, at a glance."""
        exchange = self._exchange
        return _json(
            {
                "now": exchange.clock.now(),
                "speed": exchange.clock.speed,
                "skew": exchange.skew,
                "symbols": len(self._floor.market.specs),
                "accounts": exchange.accounts,
                "connections": sum(len(hub.listeners) for hub in self._hubs.values()),
                "markets": self._addresses,
                "faults": len(exchange.panel.active()),
            }
        )

    async def add_fault(self, request: web.Request) -> web.Response:
        """Put a rule in force."""
        return _json({"number": self._exchange.panel.add(read_fault(await request.read()))})

    async def list_faults(self, _: web.Request) -> web.Response:
        """The rules in force and how often each has struck."""
        return _json([each.as_dict() for each in self._exchange.panel.active()])

    async def clear_faults(self, _: web.Request) -> web.Response:
        """Heal everything: the rules, the clock, and what is listed."""
        self._exchange.panel.clear()
        self._exchange.skew = 0
        for floor in self._exchange.floors.values():
            floor.market.relist()
        return _json({})

    async def remove_fault(self, request: web.Request) -> web.Response:
        """Take one rule out."""
        self._exchange.panel.remove(int(request.match_info["number"]))
        return _json({})

    async def drop_connections(self, request: web.Request) -> web.Response:
        """Cut the websockets of one market or route, or all."""
        return _json({"dropped": self._each(request, lambda listener: listener.drop())})

    async def freeze_connections(self, request: web.Request) -> web.Response:
        """Silence the websockets of one market or route, or all, without cutting them."""
        return _json({"frozen": self._each(request, lambda listener: listener.freeze())})

    async def retire_connections(self, request: web.Request) -> web.Response:
        """Tell the websockets of one market, or all, that they will end soon, where the market says so."""
        now = self._exchange.clock.now()
        return _json({"told": self._each(request, lambda listener: listener.send(listener.session.farewell(now)))})

    async def expire_listen_keys(self, _: web.Request) -> web.Response:
        """Let every listen key run out now."""
        for floor in self._exchange.floors.values():
            floor.listen_keys.expire_all()
        return _json({})

    async def skew_clock(self, request: web.Request) -> web.Response:
        """Let the shown clock be wrong by `milliseconds`."""
        self._exchange.skew = _number(request, "milliseconds")
        return _json({"skew": self._exchange.skew})

    async def close_position(self, request: web.Request) -> web.Response:
        """Close by force what an account holds of a symbol: `by` liquidation, adl or settlement."""
        account, symbol = request.query.get("account", ""), request.query.get("symbol", "")
        by = request.query.get("by", "").upper()
        venue = self._floor.venue
        if not isinstance(venue, Venue):
            raise UsageError(f"nobody has positions on {self._floor.product.title}")
        if account not in self._exchange.accounts or symbol not in self._floor.market.specs:
            raise UsageError(f"there is no account {account!r} or no symbol {symbol!r} here")
        if by not in Force.__members__:
            raise UsageError(f"the exchange closes by {', '.join(Force.__members__).lower()}; not {by.lower()!r}")
        closed = venue.close_by_force(account, symbol, Force[by], self._exchange.clock.now())
        return _json({"closed": closed})

    async def deposit(self, request: web.Request) -> web.Response:
        """Let something come in from outside, or go out."""
        account, asset = request.query.get("account", ""), request.query.get("asset", "")
        if account not in self._exchange.accounts or not asset:
            raise UsageError(f"there is no account {account!r} here, or no asset {asset!r}")
        text = request.query.get("amount", "")
        try:
            amount = Decimal(text)
        except InvalidOperation as failure:
            raise UsageError(f"'amount' must be a number, not {text!r}") from failure
        if not amount.is_finite():
            raise UsageError(f"'amount' must be a number, not {text!r}")
        self._floor.venue.deposit(account, asset, amount, self._exchange.clock.now())
        return _json({})

    async def forgive(self, _: web.Request) -> web.Response:
        """Forget used weights and bans."""
        for floor in self._exchange.floors.values():
            floor.meter.forgive()
        return _json({})

    async def delist(self, request: web.Request) -> web.Response:
        """End the trading of a symbol: listed with `status` from now on, or not at all."""
        symbol, status = request.query.get("symbol", ""), request.query.get("status", ENDED[0])
        if symbol not in self._floor.market.specs:
            raise UsageError(f"there is no symbol {symbol!r} here")
        if status not in ENDED:
            raise UsageError(f"a delisted symbol is {', '.join(ENDED)}; not {status!r}")
        self._floor.market.delist(symbol, status, self._exchange.clock.now())
        return _json({"delivery": self._floor.market.specs[symbol].delivery})

    async def ledger(self, _: web.Request) -> web.Response:
        """Everything that truly happened."""
        exchange = self._exchange
        return _json(
            {
                "trading": exchange.ledger(),
                "attempts": [attempt.as_dict() for attempt in exchange.attempts],
                "requests": dict(exchange.counts),
                "frames": dict(sum((hub.counts for hub in self._hubs.values()), Counter())),
            }
        )

    async def truth(self, request: web.Request) -> web.Response:
        """The full candles that open in [start, end], whatever the panel does to the exchange's own answers."""
        symbol = request.query.get("symbol", "")
        spec = self._floor.market.specs.get(symbol)
        if spec is None:
            raise UsageError(f"there is no symbol {symbol!r} here")
        try:
            step = interval(request.query.get("interval", ""))
        except UnknownIntervalError as failure:
            raise UsageError(str(failure)) from failure
        start, end = _number(request, "start"), _number(request, "end")
        return _json(rest_rows(spec, step, self._floor.market.klines(symbol, step, start, end)))

    def _each(self, request: web.Request, act: Callable[[Listener], None]) -> int:
        route, market = request.query.get("route"), request.query.get("market")
        hubs = [hub for name, hub in self._hubs.items() if market in {None, name}]
        heard = [listener for hub in hubs for listener in hub.listeners]
        chosen = [each for each in heard if route is None or each.session.route == route]
        for listener in chosen:
            act(listener)
        return len(chosen)


def _number(request: web.Request, name: str) -> int:
    text = request.query.get(name, "")
    try:
        return int(text)
    except ValueError as failure:
        raise UsageError(f"{name!r} must be a whole number of milliseconds, not {text!r}") from failure


def _json(value: object) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")


def _polite(handler: Handler) -> Handler:
    async def answer(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except UsageError as failure:
            return web.Response(
                status=400, body=msgspec.json.encode({"error": str(failure)}), content_type="application/json"
            )

    return answer

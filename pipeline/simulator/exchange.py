"""The exchange behind its doors: one request in, one answer out, checked in the order in which the real one checks.

No sockets: the server carries requests in and answers out. What a fault does to the wire (a reset, a late or a cut
answer) is named in the answer and done by the server.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date
from decimal import Decimal
from urllib.parse import parse_qsl

import msgspec

from pipeline.simulator.clock import Clock
from pipeline.simulator.errors import ApiError
from pipeline.simulator.faults.damage import damage_rows, forgotten, refusal
from pipeline.simulator.faults.rules import Facts, Fault, FaultPanel, Kind, Stage
from pipeline.simulator.products import Product
from pipeline.simulator.types import Market
from pipeline.simulator.venue.account import PositionMode
from pipeline.simulator.venue.params import Params
from pipeline.simulator.venue.trading import Trading
from pipeline.simulator.wire.api_session import ASKED_BY_MESSAGE
from pipeline.simulator.wire.archive import Archive, ArchiveFaults, Damage
from pipeline.simulator.wire.exchange_info import rate_limits
from pipeline.simulator.wire.listen_keys import FOREVER, ListenKeys
from pipeline.simulator.wire.market_data import Question
from pipeline.simulator.wire.routes import Endpoint, Guard
from pipeline.simulator.wire.security import ApiKey, Credentials, Keyring
from pipeline.simulator.wire.weights import Meter, RefusedError
from pipeline.timeline import HOUR

ORDERS_HEADER = "X-MBX-ORDER-COUNT"
WEIGHT_HEADER = "X-MBX-USED-WEIGHT-1M"
_DONE = 200
_DONE_IN_PART = 409
_UNLOGGED = frozenset(("signature", "timestamp", "recvWindow", "apiKey"))


@dataclass(frozen=True, slots=True)
class Request:
    """A request as it arrived. Nothing is decoded yet, because a signature is over what was sent."""

    method: str
    path: str
    query: str
    body: str
    key: str
    address: str
    market: str = "um"
    payload: bytes | None = None
    """What is signed, where that is not what was sent."""
    is_known: bool = False
    """Whether it comes over a connection whose key has proved itself."""

    def params(self) -> dict[str, str]:
        """What was sent; where the query and the body disagree, the query wins."""
        return {**_decode(self.body), **_decode(self.query)}

    def signed_payload(self) -> bytes:
        """The query and the body as sent, one after the other, without the signature."""
        if self.payload is not None:
            return self.payload
        return (_unsigned(self.query) + _unsigned(self.body)).encode()


@dataclass(slots=True)
class Answer:
    """What goes back, and the fault that strikes it on the way."""

    status: int
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request that could change something: whether it was executed, and what its sender was told."""

    time: int
    market: str
    account: str
    method: str
    path: str
    params: dict[str, str]
    executed: bool
    status: int
    fault: str | None

    def as_dict(self) -> dict[str, object]:
        """As the ledger shows it."""
        return asdict(self)


@dataclass(slots=True)
class Floor:
    """One market of the exchange: its prices, the books of its accounts, and the keys by which they are listened to.
    The meter is that of all markets of its pool."""

    product: Product
    market: Market
    meter: Meter
    venue: Trading
    listen_keys: ListenKeys
    archive: Archive

    @classmethod
    def of(cls, product: Product, market: Market, meter: Meter, seed: int, now: int) -> "Floor":
        """A market that opens at that moment."""
        venue = product.opens(market, seed, now)
        keys = ListenKeys(f"{seed} {product.name}", HOUR if product.ws_api is None else FOREVER)
        return cls(product, market, meter, venue, keys, Archive(market, product.archive))


class Exchange:
    """The markets, the accounts and the rules, at the time of the clock."""

    def __init__(self, clock: Clock, floors: Iterable[Floor]) -> None:
        self.clock = clock
        self.floors = {floor.product.name: floor for floor in floors}
        self.keys = Keyring()
        self.panel = FaultPanel()
        self.skew = 0  # how wrong the clock is that the exchange shows and checks requests by
        self.accounts: list[str] = []
        self.attempts: list[Attempt] = []
        self.counts: Counter[str] = Counter()

    def open_account(self, name: str, key: ApiKey, deposits: Mapping[str, Mapping[str, Decimal]]) -> None:
        """An account with a key, and in each market so much of each asset. In the markets of a pool it has one position
        mode."""
        self.keys.add(key)
        modes: dict[str, PositionMode] = {}
        for floor in self.trading_floors():
            mode = modes.setdefault(floor.product.pool, PositionMode())
            floor.venue.open_account(name, deposits.get(floor.product.name, {}), mode)
        self.accounts.append(name)

    def beside(self, floor: Floor) -> list[Floor]:
        """The other markets of its pool."""
        return [one for one in self.floors.values() if one is not floor and one.product.pool == floor.product.pool]

    def trading_floors(self) -> list[Floor]:
        """The markets in which accounts trade."""
        return [floor for floor in self.floors.values() if floor.venue.endpoints]

    def ledger(self) -> list[dict[str, object]]:
        """Everything that truly happened to the accounts, in order of time, with the market in which it did."""
        told = [
            (entry.time, {"market": floor.product.name, **entry.as_dict()})
            for floor in self.trading_floors()
            for entry in floor.venue.ledger
        ]
        return [entry for _, entry in sorted(told, key=lambda each: each[0])]

    def collect_events(self, floor: Floor) -> Iterator[tuple[str, dict[str, object]]]:
        """The user data of a market that became due: the listen key it goes to, and the event. Without a key nobody
        hears it."""
        now = self.clock.now()
        for key in floor.listen_keys.collect_expired(now):
            if floor.product.ws_api is None:
                yield key, {"e": "listenKeyExpired", "E": now, "listenKey": key}
            else:
                yield key, {"e": "eventStreamTerminated", "E": now}
        for account in self.accounts if floor.venue.endpoints else ():
            holder = floor.listen_keys.active(account, now)
            for event in floor.venue.drain_events(account):
                if holder is not None:
                    yield holder, event

    def usage(self, floor: Floor, address: str, key: str) -> list[dict[str, object]]:
        """What an address and the account of a key have used of a market's limits."""
        now, meter = self.clock.now(), floor.meter
        owner = self.keys.owner(key)
        counts = [meter.used(address, now), *(meter.order_counts(owner, now).values() if owner else ())]
        return [{**limit, "count": count} for limit, count in zip(rate_limits(meter.limits), counts, strict=False)]

    def archive_file(self, floor: Floor, path: str) -> bytes | None:
        """A file of the public archive, None where there is none; damaged where the panel says so."""
        name = path.rsplit("/", 1)[-1].removesuffix(".CHECKSUM")
        facts = Facts(market=floor.product.name, path=path, symbol=name.partition("-")[0])
        missing: set[tuple[str, date]] = set()
        damaged: dict[str, Damage] = {}
        for fault in self.panel.strikes(Stage.ARCHIVE, facts):
            match fault.kind:
                case Kind.ARCHIVE_MISSING:
                    return None
                case Kind.ARCHIVE_HOLE:
                    missing |= {(facts.symbol or "", day) for day in fault.days()}
                case Kind.ARCHIVE_CORRUPT:
                    damaged[name] = Damage.BAD_BYTES
                case _:
                    damaged[name] = Damage.WRONG_CHECKSUM
        return floor.archive.file(path, self.clock.now(), ArchiveFaults(frozenset(missing), damaged))

    def handle(self, request: Request) -> Answer:
        """Answer one request."""
        now, floor = self.clock.now(), self.floors[request.market]
        self.counts[f"{request.method} {request.path}"] += 1
        try:
            answer = self._answer(floor, request, now)
        except ApiError as refused:
            answer = self._refuse(floor, refused)
        answer.headers[WEIGHT_HEADER] = str(floor.meter.used(request.address, now))
        return answer

    def _answer(self, floor: Floor, request: Request, now: int) -> Answer:
        endpoint = floor.product.endpoints.get((request.method, request.path))
        if endpoint is None:
            raise ApiError(-5000, f"Path {request.path}, Method {request.method} is invalid", 404)
        sent = request.params()
        owner = self.keys.owner(request.key)
        facts = Facts(
            market=request.market,
            method=request.method,
            path=request.path,
            symbol=sent.get("symbol"),
            account=owner,
        )
        fault = self.panel.strike(Stage.BEFORE, facts)
        if fault is not None:
            answer = self._struck_before(fault, floor, request, now)
            self._note(request, sent, owner, answer, now, executed=False)
            return answer
        weight = endpoint.weight(sent)
        floor.meter.charge(request.address, weight, now)
        key = self._admit(endpoint, request, Params(sent), now + self.skew)
        if endpoint.orders is not None and key is not None:
            floor.meter.charge_orders(key.account, endpoint.orders(sent), now)
        answer = self._execute(floor, endpoint, request, sent, key, now)
        done = answer.status in (_DONE, _DONE_IN_PART)
        if done and endpoint.refunds:
            floor.meter.give_back(request.address, weight)
        self._strike_after(facts, answer)
        self._note(request, sent, owner, answer, now, executed=done)
        if key is not None and endpoint.executes:
            counts = floor.meter.order_counts(key.account, now)
            answer.headers.update({f"{ORDERS_HEADER}-{period}": str(count) for period, count in counts.items()})
        return answer

    def _admit(self, endpoint: Endpoint, request: Request, params: Params, now: int) -> ApiKey | None:
        if endpoint.guard is Guard.NOTHING:
            return None
        credentials = Credentials(request.key, request.address, params, request.signed_payload())
        if endpoint.guard is Guard.KEY:
            return self.keys.identify(credentials, endpoint.permission)
        if request.is_known:
            return self.keys.trust(credentials, endpoint.permission, now)
        return self.keys.verify(credentials, endpoint.permission, now)

    def _execute(
        self,
        floor: Floor,
        endpoint: Endpoint,
        request: Request,
        sent: dict[str, str],
        key: ApiKey | None,
        now: int,
    ) -> Answer:
        try:
            if endpoint.answer is not None:
                meter, rules = floor.meter, floor.product.klines
                question = Question(floor.market, Params(sent), now, meter.limits, self.skew, rules)
                result = self._with_damaged_rows(request, sent, endpoint.answer(question))
            else:
                result = self._of_account(floor, request, sent, key.account if key else "", now)
        except ApiError as refused:
            return self._refuse(floor, refused)
        return Answer(_DONE, msgspec.json.encode(result))

    def _of_account(self, floor: Floor, request: Request, sent: dict[str, str], account: str, now: int) -> object:
        if request.method == ASKED_BY_MESSAGE:
            return {"listenKey": floor.listen_keys.issue(account, now)}
        if request.path == floor.product.order_counts:
            return [
                used for used in self.usage(floor, request.address, request.key) if used["rateLimitType"] == "ORDERS"
            ]
        if request.path != floor.product.listen_key:
            return floor.venue.call(account, request.method, request.path, sent, now)
        match request.method:
            case "POST":
                return {"listenKey": floor.listen_keys.issue(account, now)}
            case "PUT":
                return {"listenKey": floor.listen_keys.renew(account, now)}
            case _:
                floor.listen_keys.revoke(account)
                return {}

    def _with_damaged_rows(self, request: Request, sent: dict[str, str], result: object) -> object:
        if not request.path.lower().endswith("klines") or not isinstance(result, list):
            return result
        facts = Facts(market=request.market, path=request.path, symbol=sent.get("symbol", sent.get("pair")))
        for fault in self.panel.strikes(Stage.ROWS, facts):
            result = damage_rows(fault, result)
        return result

    def _struck_before(self, fault: Fault, floor: Floor, request: Request, now: int) -> Answer:
        if fault.kind is Kind.BANNED:
            answer = self._refuse(floor, floor.meter.ban(request.address, now))
        else:
            words = refusal(fault)
            answer = self._refuse(floor, words) if words else Answer(0, b"")
        answer.fault = fault
        return answer

    def _strike_after(self, facts: Facts, answer: Answer) -> None:
        answer.fault = self.panel.strike(Stage.AFTER, facts)
        if answer.fault is None:
            return
        words = refusal(answer.fault)
        if answer.fault.kind is Kind.FORGET:
            answer.status, answer.body = forgotten(answer.status, answer.body)
        elif words is not None:
            answer.status, answer.body = words.status, msgspec.json.encode(words.body())
        elif answer.fault.kind is Kind.INVALID_JSON:
            answer.body = b"<html>" + answer.body

    def _note(
        self, request: Request, sent: dict[str, str], owner: str | None, answer: Answer, now: int, *, executed: bool
    ) -> None:
        if request.method in ("GET", ASKED_BY_MESSAGE) or owner is None:
            return
        shown = {name: value for name, value in sent.items() if name not in _UNLOGGED}
        struck = answer.fault.kind.value if answer.fault else None
        self.attempts.append(
            Attempt(now, request.market, owner, request.method, request.path, shown, executed, answer.status, struck)
        )

    @staticmethod
    def _refuse(floor: Floor, refused: ApiError) -> Answer:
        answer = Answer(refused.status, msgspec.json.encode(refused.body()))
        if isinstance(refused, RefusedError) and floor.meter.limits.retry_after:
            answer.headers["Retry-After"] = str(-(-refused.wait // 1_000))
        return answer


def _decode(encoded: str) -> dict[str, str]:
    try:
        pairs = parse_qsl(encoded, keep_blank_values=True, errors="strict", max_num_fields=200)
    except ValueError as failure:  # not UTF-8, or too many
        raise ApiError(-1100, "Illegal characters found in a parameter.") from failure
    params = dict(pairs)
    if len(params) != len(pairs):
        raise ApiError(-1101, "Duplicate values for a parameter detected.")
    return params


def _unsigned(encoded: str) -> str:
    return "&".join(part for part in encoded.split("&") if not part.startswith("signature="))

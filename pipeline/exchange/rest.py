"""The REST client: one call in, one answer or one error out. Signs each attempt anew, keeps the limits, retries reads.

It never resends a request that may have been carried out and changes the account, and never logs a key, a signature or
a listen key.
"""

import logging
import random
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Literal, Self

from pipeline.exchange.answers import TOO_MANY_ORDERS, Call, payload
from pipeline.exchange.breaker import CircuitBreaker
from pipeline.exchange.clock import ClockSample, ServerClock
from pipeline.exchange.environments import Environment
from pipeline.exchange.errors import (
    BadAnswerError,
    BannedError,
    CircuitOpenError,
    ClockSkewError,
    ExchangeError,
    KeyProblemError,
    NotDoneError,
    RateLimitedError,
    StoppedError,
    UnknownOutcomeError,
)
from pipeline.exchange.limits import LimitGate, Need, Ticket, period_of
from pipeline.exchange.products.product import Ask
from pipeline.exchange.retries import delays, worth_retrying
from pipeline.exchange.signing import Credentials, Parameters, query_string, signed_message, signed_query
from pipeline.exchange.traffic import Traffic
from pipeline.exchange.wire import Wire
from pipeline.timeline import SECOND

log = logging.getLogger(__name__)

Security = Literal["public", "key", "signed"]
Permit = Callable[[Call], None]
"""Asked last, when the request is stamped and signed: raises to keep it here. However long the machine sleeps after
that, the exchange refuses what arrives later than its receive window."""

_BODY_LOGGED: Final = 300
_CLOCK_SAMPLES: Final = 3
_BULK_OF_ORDERS: Final = 0.8
"""What opens may use nine tenths of the orders that the exchange allows: the rest is for what protects and closes."""
_SECRET_PARAMETERS: Final = frozenset({"listenKey", "signature"})


@dataclass(frozen=True, slots=True)
class _Terms:
    """How a call is made, and what it costs."""

    security: Security
    weight: int
    orders: int
    need: Need


@dataclass(frozen=True, slots=True)
class Answer:
    """A good answer, and what came with it. `asked_at` is the exchange's time when the request left, at the latest."""

    payload: Any
    status: int
    headers: Mapping[str, str]
    used_weight: int | None
    order_counts: Mapping[str, int]
    asked_at: int
    latency_ms: int


class RestClient:
    """A client for one environment. Thread-safe: workers share one, so that they share its limits. `need` is what its
    public questions are for; `patience_ms` how long its calls wait for a limit before they fail, and nothing was sent
    then: None for as long as it takes."""

    def __init__(
        self,
        environment: Environment,
        credentials: Credentials | None = None,
        *,
        clock: ServerClock | None = None,
        stop: threading.Event | None = None,
        random_: random.Random | None = None,
        breaker: CircuitBreaker | None = None,
        permit: Permit | None = None,
        need: Need = Need.BULK,
        patience_ms: int | None = None,
        connections: int = 16,
    ) -> None:
        self.environment = environment
        self.clock = clock or ServerClock()
        self.stop = stop or threading.Event()
        self.breaker = breaker or CircuitBreaker()
        self.traffic = Traffic(environment.weight_limit)
        self.weight = LimitGate(environment.weight_limit, environment.weight_buffer, self.clock, stop=self.stop)
        self._order_gates = {
            period: LimitGate(most, _BULK_OF_ORDERS, self.clock, period_of(period), self.stop)
            for period, most in environment.product.orders.items()
        }
        self._credentials = credentials
        self._measuring = threading.Lock()
        self._permit = permit
        self._need = need
        self._patience_ms = patience_ms
        self._random = random_ or random.Random()
        self._wire = Wire(environment, connections)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._wire.close()

    def get(self, path: str, parameters: Parameters | None = None, *, weight: int = 1) -> Answer:
        """Read public data."""
        return self.call("GET", path, parameters, weight=weight, need=self._need)

    def ask(self, ask: Ask, parameters: Parameters | None = None, *, weight: int | None = None) -> Answer:
        """Read public data of the market, wherever it keeps them. `weight`: where it depends on the parameters."""
        where = self.environment.product.endpoint(ask)
        return self.get(where.path, parameters, weight=where.weight if weight is None else weight)

    def ask_signed(self, ask: Ask, parameters: Parameters | None = None, *, need: Need = Need.PROTECTION) -> Answer:
        """Read or change the account, wherever the market keeps it."""
        to = self.environment.product.endpoint(ask)
        return self.signed(to.method, to.path, parameters, weight=to.weight, orders=to.orders, need=need)

    def signed(
        self,
        method: str,
        path: str,
        parameters: Parameters | None = None,
        *,
        weight: int = 1,
        orders: int = 0,
        need: Need = Need.PROTECTION,
    ) -> Answer:
        """Read or change the account."""
        return self.call(method, path, parameters, security="signed", weight=weight, orders=orders, need=need)

    def call(
        self,
        method: str,
        path: str,
        parameters: Parameters | None = None,
        *,
        security: Security = "public",
        weight: int = 1,
        orders: int = 0,
        need: Need = Need.BULK,
    ) -> Answer:
        """Ask, and ask again while that is worth it. Raises the last error of the tree in `errors`."""
        call = Call(method, path, self.environment.product.says_not_done)
        terms = _Terms(security, weight, orders, need)
        waits = delays(self._random)
        for attempts_left in range(self.environment.retries, -1, -1):
            try:
                return self._attempt(call, parameters or {}, terms)
            except ExchangeError as error:
                impatient = self._patience_ms is not None and _says_until(error)
                if attempts_left == 0 or impatient or not worth_retrying(error, call):
                    raise
                log.info("%s; trying again", error)
                self._recover(error, next(waits))
        raise AssertionError("the last attempt returns or raises")

    def signed_message(self, parameters: Parameters | None = None) -> dict[str, str]:
        """The parameters of a message that asks for the account, stamped and signed, wherever it is sent."""
        if self._credentials is None:
            raise KeyProblemError("the account is followed with an API key and secret; set them (`tidemark doctor`)")
        stamped = {**(parameters or {}), "recvWindow": self.environment.recv_window, "timestamp": self.clock.now()}
        return signed_message(stamped, self._credentials.api_key, self._credentials.signer)

    def server_time(self) -> int:
        """The exchange's time now, in milliseconds."""
        return _server_time(self.ask(Ask.TIME).payload)

    def keep_clock(self) -> None:
        """Measure the exchange's clock if it is in doubt: before anything is judged by it."""
        with self._measuring:
            if self.clock.in_doubt:
                self.sync_clock()

    def sync_clock(self) -> None:
        """Measure the exchange's clock anew."""
        if self.clock.best is not None and self.clock.in_doubt:
            log.warning("the clocks of this machine have come apart: it was set, or it slept; the exchange is asked")
        self.clock.adopt([self._clock_sample() for _ in range(_CLOCK_SAMPLES)])
        log.debug("the exchange's clock is %+d ms from ours, +-%d", self.clock.offset, self.clock.uncertainty)

    def _clock_sample(self) -> ClockSample:
        sent = self.clock.steady()
        server = self.server_time()
        return ClockSample(sent, self.clock.steady(), server, self.clock.local())

    def _recover(self, error: ExchangeError, delay: float) -> None:
        """Do what makes the next attempt better: wait as long as told, else the back-off; mend our clock."""
        if isinstance(error, RateLimitedError):
            return  # the gate itself holds everybody back
        if isinstance(error, CircuitOpenError):
            delay = max(delay, (error.until - self.clock.now()) / SECOND)
        if isinstance(error, ClockSkewError):
            self.sync_clock()
            return
        if self.stop.wait(delay):
            raise StoppedError("told to stop before trying again") from error

    def _attempt(self, call: Call, parameters: Parameters, terms: _Terms) -> Answer:
        if terms.need is not Need.PROTECTION:  # others may have failed of what does not concern it
            self.breaker.check(self.clock.now())
        spent = {"weight": (self.weight, terms.weight)}
        if terms.orders:
            spent |= {name: (gate, terms.orders) for name, gate in self._order_gates.items()}
        with ExitStack() as gates:
            tickets = {
                name: gates.enter_context(gate.spend(cost, need=terms.need, patience_ms=self._patience_ms))
                for name, (gate, cost) in spent.items()
            }
            with self._watch(), self.traffic.following(call):
                return self._exchange(call, parameters, terms.security, tickets)

    @contextmanager
    def _watch(self) -> Iterator[None]:
        """Tell the breaker and the gates how the call went."""
        try:
            yield
        except RateLimitedError as error:
            self.breaker.succeeded()
            for gate in self._order_gates.values() if error.code == TOO_MANY_ORDERS else (self.weight,):
                gate.close_until(error.until)
            raise
        except BannedError as error:
            self.weight.ban(error)
            raise
        except (NotDoneError, UnknownOutcomeError, BadAnswerError) as error:
            if not isinstance(error, ClockSkewError):
                self.breaker.failed(self.clock.now())
            raise
        except ExchangeError:
            self.breaker.succeeded()
            raise
        self.breaker.succeeded()

    def _exchange(
        self, call: Call, parameters: Parameters, security: Security, tickets: Mapping[str, Ticket]
    ) -> Answer:
        began, asked_at = time.monotonic(), self.clock.surely
        query, headers = self._signed(call, parameters, security)
        if self._permit is not None:
            self._permit(call)
        log.debug("%s %s", call, {name: value for name, value in parameters.items() if name not in _SECRET_PARAMETERS})
        url = self.environment.rest_url + call.path + (f"?{query}" if query else "")
        with self.traffic.timed():
            raw = self._wire.send(call, url, headers)
        latency = round((time.monotonic() - began) * SECOND)

        used, counts = _counted(raw.headers, "x-mbx-used-weight-1m"), _order_counts(raw.headers)
        tickets["weight"].count = used
        if used is not None:
            self.traffic.counted(used)
        for name, ticket in tickets.items():
            if name in counts:
                ticket.count = counts[name]
        log.debug(
            "%s answered %d in %d ms, used weight %s: %s", call, raw.status, latency, used, _shown(call, raw.body)
        )
        decoded = payload(call, raw, self.clock.now())
        return Answer(decoded, raw.status, raw.headers, used, counts, asked_at, latency)

    def _signed(self, call: Call, parameters: Parameters, security: Security) -> tuple[str, dict[str, str]]:
        if security == "public":
            return query_string(parameters), {}
        if self._credentials is None:
            raise KeyProblemError(f"{call} needs an API key and secret; set them (see `tidemark doctor`)")
        headers = {"X-MBX-APIKEY": self._credentials.api_key}
        if security == "key":
            return query_string(parameters), headers
        stamped = {**parameters, "recvWindow": self.environment.recv_window, "timestamp": self.clock.now()}
        return signed_query(stamped, self._credentials.signer), headers


def _says_until(error: ExchangeError) -> bool:
    return isinstance(error, RateLimitedError | CircuitOpenError)


def _server_time(answer: Any) -> int:
    found = answer.get("serverTime") if isinstance(answer, dict) else None
    if not isinstance(found, int):
        raise BadAnswerError("the answer to a question for the time has no whole number serverTime")
    return found


def _counted(headers: Mapping[str, str], name: str) -> int | None:
    value = headers.get(name, "")
    return int(value) if value.isdigit() else None


def _order_counts(headers: Mapping[str, str]) -> dict[str, int]:
    prefix = "x-mbx-order-count-"
    return {
        name.removeprefix(prefix): int(value)
        for name, value in headers.items()
        if name.startswith(prefix) and value.isdigit()
    }


def _shown(call: Call, body: bytes) -> str:
    if "listenKey" in call.path:
        return "(not shown)"
    return body[:_BODY_LOGGED].decode(errors="replace")

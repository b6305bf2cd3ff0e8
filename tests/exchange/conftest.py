"""A real HTTP server that answers from a script, and clients of it."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qsl, urlsplit

import pytest

from pipeline.exchange.environments import SIM, Environment, at
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from pipeline.exchange.trading import NewOrder, Trading
from pipeline.simulator.handle import Simulator
from tests.by_hand import cancel_open_orders

_numbers = itertools.count(1)


@dataclass
class Reply:
    """What the server does with one request."""

    body: bytes = b"{}"
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    announce: int | None = None  # a Content-Length other than the truth
    hang_up: bool = False
    hang: bool = False
    drip: float | None = None  # seconds between bytes


@dataclass
class Seen:
    """One request as it arrived."""

    method: str
    path: str
    query: str
    headers: dict[str, str]

    @property
    def parameters(self) -> dict[str, str]:
        return dict(parse_qsl(self.query))


class ScriptedExchange:
    """Answers in the order of `script`; when that is used up, with `otherwise`."""

    def __init__(self) -> None:
        self.script: list[Reply] = []
        self.otherwise: Callable[[Seen], Reply] = lambda _: Reply()
        self.seen: list[Seen] = []
        self.released = threading.Event()
        self._lock = threading.Lock()
        exchange = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                exchange.answer(self)

            do_GET = do_POST = do_DELETE = do_PUT = answer

            def log_message(self, *_: object) -> None:
                pass

        class Server(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass

        self.server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        parts = urlsplit(request.path)
        seen = Seen(request.command, parts.path, parts.query, {k.lower(): v for k, v in request.headers.items()})
        with self._lock:
            self.seen.append(seen)
            scripted = self.script.pop(0) if self.script else None
        reply = scripted or self.otherwise(seen)
        if reply.hang:
            self.released.wait(30)
        if reply.hang or reply.hang_up:
            request.close_connection = True
            return
        request.send_response(reply.status)
        for name, value in reply.headers.items():
            request.send_header(name, value)
        request.send_header("Content-Length", str(len(reply.body) if reply.announce is None else reply.announce))
        request.end_headers()
        if reply.drip is None:
            request.wfile.write(reply.body)
        else:
            for byte in reply.body:
                request.wfile.write(bytes([byte]))
                time.sleep(reply.drip)
        request.close_connection = reply.announce is not None

    def close(self) -> None:
        self.released.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def exchange() -> Iterator[ScriptedExchange]:
    running = ScriptedExchange()
    yield running
    running.close()


@pytest.fixture
def place(exchange: ScriptedExchange) -> Environment:
    """The environment of the scripted exchange: impatient, so that tests are quick."""
    return replace(at(SIM, exchange.url), connect_timeout=1.0, read_timeout=0.5, retries=2)


@pytest.fixture
def reply() -> type[Reply]:
    return Reply


@pytest.fixture
def flatten(simulator: Simulator) -> Callable[[], None]:
    """Leaves the account of this run without orders and positions."""

    def leave_nothing() -> None:
        with RestClient(at(SIM, simulator.url), Credentials("sim-key", signer_for("sim-secret"))) as client:
            desk = Trading(client)
            for held in desk.positions():
                cancel_open_orders(desk, held.symbol)
                if held.position_amt:
                    order = NewOrder(
                        symbol=held.symbol,
                        side="SELL" if held.position_amt > 0 else "BUY",
                        client_id=f"flat:{next(_numbers)}",
                        quantity=abs(held.position_amt),
                        reduce_only=True,
                    )
                    desk.place_order(order)
            for algo in desk.open_algos():
                desk.cancel_algo(algo.client_algo_id)

    return leave_nothing

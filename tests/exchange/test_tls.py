"""What goes wrong below the encryption, by real TLS on a real socket: what was read may have been carried out, and is
never sent again; what never left is."""

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

from pipeline.exchange.environments import SIM, at
from pipeline.exchange.errors import ExchangeError, UnknownOutcomeError, UnreachableError
from pipeline.exchange.outcomes import Outcome, outcome_of
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials, signer_for
from tests.tls import HARMS, Authority, Door, door

ORDER = {"symbol": "BTCUSDT", "side": "BUY", "newClientOrderId": "a"}
VERSIONS = (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(autouse=True)
def trusted(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    authority.trusted(monkeypatch)


def client(url: str, **options: Any) -> RestClient:
    place = replace(at(SIM, url), connect_timeout=1.0, read_timeout=1.0, retries=2, **options)
    return RestClient(place, Credentials("key", signer_for("secret")), random_=Random(1))


def order_at(url: str, **options: Any) -> ExchangeError | None:
    """What becomes of an order that is sent there."""
    with client(url, **options) as made:
        try:
            made.signed("POST", "/fapi/v1/order", ORDER, orders=1)
        except ExchangeError as error:
            return error
    return None


def test_an_order_arrives_through_tls(authority: Authority) -> None:
    with door(authority.context()) as open_door:
        assert order_at(open_door.url) is None
        assert open_door.count("POST") == 1


@pytest.mark.parametrize("version", VERSIONS, ids=lambda version: version.name)
@pytest.mark.parametrize("harm", HARMS)
def test_an_order_that_was_read_is_never_sent_again_whatever_its_answer_suffers(
    authority: Authority, harm: str, version: ssl.TLSVersion
) -> None:
    context = authority.context()
    context.maximum_version = version
    with door(context, harm=lambda _: HARMS[harm]) as open_door:
        error = order_at(open_door.url)
        assert isinstance(error, UnknownOutcomeError), error
        assert open_door.count("POST") == 1


@pytest.mark.parametrize("harm", HARMS)
def test_the_same_on_a_connection_that_has_carried_before(authority: Authority, harm: str) -> None:
    with (
        door(authority.context(), harm=lambda asked: HARMS[harm] if asked.startswith(b"POST") else None) as open_door,
        client(open_door.url) as made,
    ):
        made.get("/fapi/v1/time")
        with pytest.raises(UnknownOutcomeError):
            made.signed("POST", "/fapi/v1/order", ORDER, orders=1)
        assert (open_door.count("POST"), open_door.connections) == (1, 1)


@pytest.mark.parametrize("harm", HARMS)
def test_a_question_is_asked_again(authority: Authority, harm: str) -> None:
    suffering = iter([HARMS[harm], None])
    with door(authority.context(), harm=lambda _: next(suffering)) as open_door, client(open_door.url) as made:
        assert made.get("/fapi/v1/time").payload == {}
        assert open_door.count("GET") == 2


def test_a_connection_that_was_ended_between_two_requests_is_made_anew(authority: Authority) -> None:
    """Nothing of the second has left then."""
    context = authority.context()
    with door(context, harm=lambda asked: _answer_and_end if b"/time" in asked else None) as open_door:
        with client(open_door.url) as made:
            made.get("/fapi/v1/time")
            made.signed("POST", "/fapi/v1/order", ORDER, orders=1)
        assert (open_door.count("POST"), open_door.connections) == (1, 2)


def _answer_and_end(line: Any) -> None:
    line.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
    line.say_goodbye()


# What never left


CERTIFICATES: dict[str, Callable[[Authority, Path], ssl.SSLContext]] = {
    "a stranger's": lambda _, folder: Authority(folder).context(),
    "another host's": lambda authority, _: authority.context("elsewhere.invalid"),
    "out of date": lambda authority, _: authority.context(days=-1),
}


@pytest.mark.parametrize("which", CERTIFICATES)
def test_a_certificate_that_is_not_right_is_not_done(authority: Authority, tmp_path: Path, which: str) -> None:
    with door(CERTIFICATES[which](authority, tmp_path)) as open_door:
        error = order_at(open_door.url)
        assert isinstance(error, UnreachableError), error
        assert "SSLCertVerificationError" in str(error)
        assert outcome_of(error) is Outcome.NOT_DONE
        assert open_door.seen == []
        assert open_door.connections == 3, "surely not sent: tried again"


BEGINNINGS: dict[str, bytes | None] = {
    "ends": b"",
    "answers in the clear": b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n",
    "is garbled": bytes(range(200)),
    "breaks off": bytes.fromhex("16030300400200003c0303"),
    "never comes": None,
}


@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_a_handshake_that_fails_is_not_done(beginning: str) -> None:
    with listener(lambda line: _begin(line, BEGINNINGS[beginning])) as port:
        error = order_at(f"https://127.0.0.1:{port}")
        assert isinstance(error, UnreachableError), error


def _begin(line: socket.socket, answer: bytes | None) -> None:
    line.recv(65_536)
    if answer is None:
        line.recv(1)
    else:
        line.sendall(answer)


@contextmanager
def listener(serve: Callable[[socket.socket], object]) -> Iterator[int]:
    """A bare socket; each connection is served in a thread and ended."""
    taking = socket.create_server(("127.0.0.1", 0))

    def handle(line: socket.socket) -> None:
        with line, suppress(OSError):
            serve(line)

    def take() -> None:
        with suppress(OSError):
            while True:
                line, _ = taking.accept()
                threading.Thread(target=handle, args=(line,), daemon=True).start()

    threading.Thread(target=take, daemon=True).start()
    try:
        yield taking.getsockname()[1]
    finally:
        taking.shutdown(socket.SHUT_RDWR)
        taking.close()


# Through a proxy


def tunnel(to: Door) -> Callable[[socket.socket], None]:
    """What a proxy does with one connection: CONNECT, then bytes both ways."""

    def serve(line: socket.socket) -> None:
        _head(line)
        with socket.create_connection(("127.0.0.1", to.port)) as far:
            line.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pump, args=(far, line), daemon=True)
            back.start()
            _pump(line, far)
            back.join(5)

    return serve


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while part := source.recv(65_536):
            target.sendall(part)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


def _head(line: socket.socket) -> bytes:
    read = b""
    while not read.endswith(b"\r\n\r\n") and (part := line.recv(65_536)):
        read += part
    return read


@pytest.mark.parametrize("harm", HARMS)
def test_through_a_proxy_too_what_was_read_is_never_sent_again(authority: Authority, harm: str) -> None:
    with (
        door(authority.context(), harm=lambda _: HARMS[harm]) as open_door,
        listener(tunnel(open_door)) as port,
    ):
        error = order_at(open_door.url, proxy=f"http://127.0.0.1:{port}")
        assert isinstance(error, UnknownOutcomeError), error
        assert open_door.count("POST") == 1


REFUSALS: dict[str, bytes | None] = {
    "refuses": b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n",
    "cannot get there": b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
    "ends": b"",
    "is no proxy": b"\x00\x01\x02\r\n\r\n",
    "never answers": None,
}


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_proxy_that_does_not_let_us_through_is_not_done(refusal: str) -> None:
    with listener(lambda line: _begin(line, REFUSALS[refusal])) as port:
        error = order_at("https://127.0.0.1:1", proxy=f"http://user:secret@127.0.0.1:{port}")
        assert isinstance(error, UnreachableError), error
        assert "secret" not in str(error)

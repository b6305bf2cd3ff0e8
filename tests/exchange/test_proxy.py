"""A proxy that wants a name and a password hears the same of REST and of the streams, however they are written."""

import asyncio
import threading
from base64 import b64decode
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from socket import SHUT_RDWR, create_server

import pytest
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidHandshake

from pipeline.exchange.environments import SIM, environment
from pipeline.exchange.errors import UnreachableError
from pipeline.exchange.rest import RestClient

REFUSAL = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


class Doorkeeper:
    """Lets nobody through, and remembers what each has said."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.listener = create_server(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{self.listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                line, _ = self.listener.accept()
                with line:
                    head = line.recv(65_536).decode()
                    said = [one for one in head.split("\r\n") if one.lower().startswith("proxy-authorization: basic ")]
                    self.heard += [b64decode(one.rpartition(" ")[2]).decode() for one in said]
                    line.sendall(REFUSAL)


@pytest.fixture
def doorkeeper() -> Iterator[Doorkeeper]:
    made = Doorkeeper()
    yield made
    made.listener.shutdown(SHUT_RDWR)
    made.listener.close()


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("me:plain", "me:plain"),
        ("me:p%40ss", "me:p@ss"),
        ("me:p@ss", "me:p@ss"),
        ("me%40work:a%3Ab", "me@work:a:b"),
        ("me:100%25", "me:100%"),
    ],
)
async def test_rest_and_streams_say_the_same(doorkeeper: Doorkeeper, written: str, meant: str) -> None:
    far = replace(SIM, rest_url="https://exchange.invalid", stream_url="wss://exchange.invalid", retries=0)
    place = replace(far, proxy=f"http://{written}@{doorkeeper.address}")

    def ask() -> None:
        with RestClient(place) as client, pytest.raises(UnreachableError):
            client.get("/fapi/v1/time")

    await asyncio.to_thread(ask)
    with pytest.raises(InvalidHandshake):
        async with connect(place.stream_url, proxy=place.stream_proxy):
            pass
    assert doorkeeper.heard == [meant, meant]


def test_without_a_proxy_there_is_none() -> None:
    assert environment("sim").stream_proxy is None
    assert environment("sim", proxy="http://host:1").stream_proxy == "http://host:1"

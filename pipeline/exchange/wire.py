"""One HTTP request on the wire: out with it, back with the whole body, or one error of the tree.

Bounded in every direction: time to connect, time of silence, time in all, size. It never follows a redirect (a signed
query is not for another host), and no error of its own shows a URL's query.
"""

import time
from collections.abc import Mapping
from http.cookiejar import DefaultCookiePolicy
from typing import Final
from urllib.parse import urlsplit

import requests
import urllib3

from pipeline.exchange.answers import Call, Raw
from pipeline.exchange.connections import Adapter, NotConnectedError
from pipeline.exchange.environments import Environment
from pipeline.exchange.errors import BadAnswerError, ExchangeError, UnknownOutcomeError, UnreachableError

ANSWER_CAP: Final = 64 * 1024 * 1024
_CHUNK: Final = 64 * 1024


class Wire:
    """Connections to one environment, kept open and shared by threads."""

    def __init__(self, environment: Environment, connections: int) -> None:
        self._environment = environment
        self._session = _session(environment, connections)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def send(self, call: Call, url: str, headers: Mapping[str, str]) -> Raw:
        """Ask once. `url` is sent byte for byte: it may be signed."""
        place = self._environment
        prepared = self._session.prepare_request(requests.Request(call.method, place.rest_url, headers=dict(headers)))
        prepared.url = url
        try:
            with self._session.send(
                prepared,
                timeout=(place.connect_timeout, place.read_timeout),
                stream=True,
                allow_redirects=False,
                proxies={"http": place.proxy, "https": place.proxy} if place.proxy else None,
            ) as response:
                body = _read(response, call, time.monotonic() + 2 * place.read_timeout)
                lowered = {name.lower(): value for name, value in response.headers.items()}
                return Raw(response.status_code, lowered, body)
        except NotConnectedError as error:
            raise _not_sent(call, url, error.__cause__) from None
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            raise _broken(call, error) from None


def _session(environment: Environment, connections: int) -> requests.Session:
    session = requests.Session()
    session.trust_env = False  # a proxy is a setting of ours, and a .netrc must not add a password
    session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
    adapter = Adapter(connections)
    session.mount("http://", adapter)
    session.mount("https://", adapter)
    session.headers["User-Agent"] = f"tidemark ({environment.name})"
    return session


def _read(response: requests.Response, call: Call, deadline: float) -> bytes:
    """The body, unless it is too large or drips in for too long."""
    parts: list[bytes] = []
    size = 0
    while part := response.raw.read1(_CHUNK, decode_content=True):
        size += len(part)
        if size > ANSWER_CAP:
            raise _unusable(call, f"the answer is larger than {ANSWER_CAP // 2**20} MiB; nothing of it is used")
        if time.monotonic() > deadline:
            raise _unusable(call, "the answer came in too slowly and was given up")
        parts.append(part)
    return b"".join(parts)


def _unusable(call: Call, what: str) -> ExchangeError:
    return (BadAnswerError if call.only_reads else UnknownOutcomeError)(f"{call}: {what}")


def _not_sent(call: Call, url: str, cause: BaseException | None) -> UnreachableError:
    where = urlsplit(url)
    return UnreachableError(
        f"{call}: no connection to {where.scheme}://{where.netloc.rpartition('@')[2]} could be made "
        f"({type(cause).__name__}). Check the address, the network and the proxy"
    )


def _broken(call: Call, error: Exception) -> ExchangeError:
    """Whatever broke after the request began to leave: it may have arrived."""
    if isinstance(error, urllib3.exceptions.DecodeError):
        return _unusable(call, "the answer is not compressed as it says; nothing of it is used")
    late = isinstance(error, requests.Timeout | urllib3.exceptions.TimeoutError)
    what = "no answer in time" if late else "the connection broke"
    doubt = "" if call.only_reads else "; whether it was carried out is unknown"
    return UnknownOutcomeError(f"{call}: {what} ({type(error).__name__}){doubt}")

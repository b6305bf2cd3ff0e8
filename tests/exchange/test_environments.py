"""Where each environment lies, and what a custom address changes."""

import pytest

from pipeline.errors import UsageError
from pipeline.exchange.environments import ENVIRONMENTS, environment


@pytest.mark.parametrize(
    ("name", "buffer", "rest", "archive"),
    [
        ("sim", 0.8, "http://127.0.0.1:9876", "http://127.0.0.1:9876"),
        ("binance-um-demo", 0.8, "https://demo-fapi.binance.com", None),
        ("binance-um", 0.6, "https://fapi.binance.com", "https://data.binance.vision"),
    ],
)
def test_the_environments(name: str, buffer: float, rest: str, archive: str | None) -> None:
    place = environment(name)
    assert (place.weight_buffer, place.rest_url, place.archive_url) == (buffer, rest, archive)


def test_only_production_costs_real_money() -> None:
    assert [name for name, place in ENVIRONMENTS.items() if place.is_production] == ["binance-um"]


@pytest.mark.parametrize(
    ("url", "stream"),
    [("http://127.0.0.1:1234/", "ws://127.0.0.1:1234"), ("https://gateway/path", "wss://gateway/path")],
)
def test_a_custom_address_moves_rest_streams_and_archive(url: str, stream: str) -> None:
    place = environment("sim", url=url, proxy="http://proxy:1")
    assert (place.rest_url, place.archive_url) == (url.rstrip("/"), url.rstrip("/"))
    assert (place.stream_url, place.proxy) == (stream, "http://proxy:1")


@pytest.mark.parametrize(("name", "url"), [("sim", "127.0.0.1:9876"), ("sim", "ftp://host"), ("binance", None)])
def test_what_is_no_environment_is_refused_with_the_value(name: str, url: str | None) -> None:
    with pytest.raises(UsageError, match=url or name):
        environment(name, url=url)

"""Where each environment lies, and what a custom address changes."""

import pytest

from pipeline.errors import UsageError
from pipeline.exchange.environments import ENVIRONMENTS, environment

HERE = "http://127.0.0.1:9876"
ARCHIVE = "https://data.binance.vision"


@pytest.mark.parametrize(
    ("name", "rest", "streams", "archive"),
    [
        ("sim", HERE, "ws://127.0.0.1:9876", HERE),
        ("sim-cm", "http://127.0.0.1:9877", "ws://127.0.0.1:9877", "http://127.0.0.1:9877"),
        ("sim-spot", "http://127.0.0.1:9878", "ws://127.0.0.1:9878", "http://127.0.0.1:9878"),
        ("binance-um-demo", "https://demo-fapi.binance.com", "wss://demo-fstream.binance.com", None),
        ("binance-cm-demo", "https://demo-dapi.binance.com", "wss://demo-dstream.binance.com", None),
        ("binance-spot-demo", "https://demo-api.binance.com", "wss://demo-stream.binance.com", None),
        ("binance-spot-testnet", "https://testnet.binance.vision", "wss://stream.testnet.binance.vision", None),
        ("binance-um", "https://fapi.binance.com", "wss://fstream.binance.com", ARCHIVE),
        ("binance-cm", "https://dapi.binance.com", "wss://dstream.binance.com", ARCHIVE),
        ("binance-spot", "https://api.binance.com", "wss://stream.binance.com:9443", ARCHIVE),
    ],
)
def test_the_environments(name: str, rest: str, streams: str, archive: str | None) -> None:
    place = environment(name)
    assert (place.name, place.rest_url, place.stream_url, place.archive_url) == (name, rest, streams, archive)


@pytest.mark.parametrize("name", [name for name in ENVIRONMENTS if not name.startswith("sim")])
def test_real_money_is_waited_for_less_and_asked_for_more_often(name: str) -> None:
    place = environment(name)
    manners = (place.weight_buffer, place.read_timeout, place.retries + 1)
    assert manners == ((0.6, 15.0, 5) if place.is_production else (0.8, 30.0, 3))


@pytest.mark.parametrize(
    ("name", "product"), [("sim-cm", "cm"), ("sim-spot", "spot"), ("binance-cm-demo", "cm"), ("binance-spot", "spot")]
)
def test_an_environment_is_of_its_market(name: str, product: str) -> None:
    assert environment(name).product.name == product


def test_what_costs_real_money() -> None:
    dear = [name for name, place in ENVIRONMENTS.items() if place.is_production]
    assert dear == ["binance-um", "binance-cm", "binance-spot"]


@pytest.mark.parametrize("name", ["sim-um", "sim"])
def test_the_first_simulated_market_has_two_names_and_documents_have_one(name: str) -> None:
    assert environment(name).name == "sim"


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

"""The page of exchange notes says what the code does: its hosts, its weights, its codes and its limits."""

import re
from pathlib import Path

import pytest

from pipeline.exchange import answers, trading, userdata
from pipeline.exchange.environments import ENVIRONMENTS
from pipeline.exchange.products.cm import CM
from pipeline.exchange.products.product import Ask
from pipeline.exchange.products.spot import SPOT
from pipeline.exchange.products.um import UM
from pipeline.exchange.stream_session import FeedLimits
from pipeline.exchange.userdata import UserLimits
from pipeline.execution.engine.refusals import _CODES, reaction
from pipeline.ingest.book import Patience

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "exchange-notes.md").read_text()


def table(first: str) -> list[list[str]]:
    """The rows of the table whose first column has that head."""
    lines = PAGE.partition(f"\n| {first} |")[2].partition("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def codes() -> dict[int, str]:
    """Each code of the page, and the word beside it."""
    return {int(code): word for told, _, word in table("code") for code in told.split(",")}


def test_the_hosts_and_weights_are_those_of_the_environments() -> None:
    assert sorted(table("environment")) == sorted(
        [f"`{one.name}`", one.rest_url, one.stream_url, one.archive_url or "none", str(one.weight_limit)]
        for one in ENVIRONMENTS.values()
    )


def test_the_table_of_markets_is_that_of_their_tables() -> None:
    found = [row[:6] for row in table("market")]
    assert found == [
        [
            one.title,
            f"`{one.endpoint(Ask.KLINES).path}`",
            str(one.sites["production"].weight),
            ", ".join(f"{most} in {period}" for period, most in one.orders.items()),
            one.pool,
            str(one.klines.page),
        ]
        for one in (UM, CM, SPOT)
    ]
    quantities = [row[6] for row in table("market")]
    assert quantities == ["coins" if one.arithmetic.counts == "base" else "contracts" for one in (UM, CM, SPOT)]


def test_the_codes_are_all_that_the_client_and_the_executor_know() -> None:
    known = {code for each in _CODES.values() for code in each}
    known |= answers.CLOCK_CODES | answers.KEY_CODES | answers.WAIT_CODES
    known |= answers.UNKNOWN_CODES | answers.NOT_DONE_CODES
    known |= {trading.ALREADY_SO, userdata.NO_SUCH_KEY, -2011, -2013}
    assert set(codes()) == known


@pytest.mark.parametrize(("code", "word"), codes().items())
def test_the_word_beside_a_code_is_the_reaction_to_it(code: int, word: str) -> None:
    if code in {one for each in _CODES.values() for one in each}:
        assert word == reaction(code).value
    else:
        assert word == (
            "unknown"
            if code in answers.UNKNOWN_CODES
            else "success"
            if code == trading.ALREADY_SO
            else "a new key"
            if code == userdata.NO_SUCH_KEY
            else "asked for"
        )


@pytest.mark.parametrize(
    ("said", "value"),
    [
        (r"asks for (\d+): the most candles", UM.klines.page),
        (r"(\d+) streams each", FeedLimits().streams_per_connection),
        (r"a command each ([\d.]+) s", FeedLimits().command_every),
        (r"after ([\d.]+) s of grace", Patience().grace / 1_000),
        (r"`recvWindow` \((\d+) ms here\)", ENVIRONMENTS["binance-um"].recv_window),
        (r"prolonged every (\d+)", UserLimits().prolong_every / 60),
        (r"tell of it within (\d+) s", UserLimits().news_within),
        (r"up to (\d+) % in production", 100 * ENVIRONMENTS["binance-um"].weight_buffer),
        (r"in production, (\d+) % elsewhere", 100 * ENVIRONMENTS["binance-um-demo"].weight_buffer),
        (r"Orders: (\d+) in 10 s", ENVIRONMENTS["binance-um"].product.orders["10s"]),
    ],
)
def test_a_number_of_the_page_is_that_of_the_code(said: str, value: float) -> None:
    found = re.search(said, " ".join(PAGE.split()))
    assert found, said
    assert float(found[1]) == value


def test_the_page_is_found_from_the_readme() -> None:
    assert "docs/exchange-notes.md" in (ROOT / "README.md").read_text()

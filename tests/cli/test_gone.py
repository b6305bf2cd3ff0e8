"""A symbol that the exchange does not trade any more stops nothing: it is passed over, said once, and remembered. What
a person names is refused with the nearest."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo.database import Database
from rich.console import Console

from pipeline.cli.start_view import PlainStart
from pipeline.settings import load
from pipeline.simulator.handle import Simulator
from pipeline.store.prepare import prepare
from pipeline.store.series import SeriesStore
from pipeline.store.watchlist import Watchlist
from pipeline.supervise.services import Ports
from pipeline.supervise.whole import Choice, Whole, fetch_candles
from pipeline.timeline import MINUTE, SECOND
from schemas.series import SeriesKey
from tests.cli.conftest import Run

A_DAY = {1_440, 1_441}
"""One more where a minute ended while it was fetched."""
BTC, ETH = (SeriesKey("sim", symbol, "1m") for symbol in ("BTCUSDT", "ETHUSDT"))


@pytest.fixture
def chosen(chosen: dict[str, str]) -> dict[str, str]:
    """Two series of a day."""
    return chosen | {
        "TIDEMARK_SYMBOLS": "BTCUSDT,ETHUSDT",
        "TIDEMARK_INTERVALS": "1m",
        "TIDEMARK_HISTORY_DAYS": "1",
        "TIDEMARK_STRATEGIES": "rsi_reversal",
    }


def test_one_that_is_not_listed_is_passed_over_and_said_once(
    tidemark: Run, db: Database[Any], simulator: Simulator
) -> None:
    simulator.delist("ETHUSDT", "UNLISTED")
    first = tidemark("backfill")
    assert first.exit_code == 0, first.stderr
    assert first.stderr.count("the exchange lists no symbol 'ETHUSDT'") == 1
    assert "lists no symbol 'ETHUSDT'. This is not said again" in first.stderr
    store = SeriesStore(db)
    assert store.get(BTC).stored in A_DAY  # type: ignore[union-attr]
    assert "lists no symbol" in store.get(ETH).gone.why  # type: ignore[union-attr]
    second = tidemark("backfill")
    assert (second.exit_code, "ETHUSDT" in second.stderr) == (0, False)
    simulator.faults.clear()
    assert tidemark("backfill").exit_code == 0
    again = store.get(ETH)
    assert again is not None
    assert (again.stored in A_DAY, again.gone) == (True, None), "it is listed again"


def test_one_that_ended_is_filled_to_its_end_and_then_left(
    tidemark: Run, db: Database[Any], start_simulator: Callable[..., Simulator], chosen: dict[str, str]
) -> None:
    almost = (MINUTE - 10 * SECOND - int(time.time() * SECOND)) % MINUTE
    simulator = start_simulator(lifted_limits=True, clock_offset=almost)
    chosen["TIDEMARK_SIM_URL"] = simulator.url
    end = simulator.delist("ETHUSDT", "SETTLING")
    while (left := end - simulator.now()) > 0:
        time.sleep(left / SECOND)
    first = tidemark("backfill")
    assert first.exit_code == 0, first.stderr
    assert first.stderr.count("'ETHUSDT' ended") == 1
    asked = simulator.ledger()["requests"]["GET /fapi/v1/klines"]
    second = tidemark("backfill")
    assert (second.exit_code, "ETHUSDT" in second.output) == (0, False)
    assert simulator.ledger()["requests"]["GET /fapi/v1/klines"] == asked + 1, "the open candle of the other"
    assert SeriesStore(db).get(ETH).stored == 1_440  # type: ignore[union-attr]
    watched = tidemark("watch", "ETHUSDT")
    assert watched.exit_code == 2
    assert "'ETHUSDT' ended" in watched.stderr


def test_what_a_person_names_is_refused_with_the_nearest(tidemark: Run, simulator: Simulator) -> None:
    assert tidemark("backfill").exit_code == 0
    simulator.delist("ETHUSDT", "UNLISTED")
    for command in (["backfill", "ETHUSDT"], ["watch", "ETHUSDT"], ["audit", "ETHUSDT"]):
        done = tidemark(*command)
        assert done.exit_code == 2, command
        assert "lists no symbol 'ETHUSDT'." in done.stderr


def test_an_audit_passes_it_over(tidemark: Run, simulator: Simulator) -> None:
    assert tidemark("backfill").exit_code == 0
    simulator.delist("ETHUSDT", "UNLISTED")
    done = tidemark("audit", "--repair")
    assert done.exit_code == 0, done.stderr
    assert done.stderr.count("the exchange lists no symbol 'ETHUSDT'") == 1
    assert "ETHUSDT" not in tidemark("audit").output
    alone = tidemark("audit", "ETHUSDT", "--samples", "0")
    assert alone.exit_code == 0, "what is stored can be looked at without asking anybody"


def test_status_says_why_it_is_not_followed(tidemark: Run, db: Database[Any], simulator: Simulator) -> None:
    simulator.delist("ETHUSDT", "UNLISTED")
    assert tidemark("backfill").exit_code == 0
    Watchlist(db, "sim").watch([BTC, ETH], datetime.now(UTC))
    told = tidemark("status")
    assert "ETHUSDT 1m: given up: the exchange lists no symbol 'ETHUSDT'" in told.stderr
    assert "'ETHUSDT'. `tidemark unwatch ETHUSDT` forgets it" in told.stderr


def test_the_start_of_everything_goes_on_without_it(
    chosen: dict[str, str], db: Database[Any], simulator: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    prepare(db)
    simulator.delist("ETHUSDT", "UNLISTED")
    with ExitStack() as ends:
        view = PlainStart(Console(quiet=True))
        whole = Whole(
            choice=Choice(load(), Ports(0, 0, 0, 0)),
            keys={},
            supervisor=None,
            view=view,
            ends=ends,
            stop=threading.Event(),
            db=db,
        )  # type: ignore[arg-type]
        said = fetch_candles(whole)
    assert said.startswith("1,440 of 1 series")
    assert [one.key for one in whole.series] == [BTC]
    assert Watchlist(db, "sim").wanted() == {BTC}

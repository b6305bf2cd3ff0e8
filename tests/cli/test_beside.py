"""A command that asks about the executor, or stops it, means the place where it trades; another is refused."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.app.beside import Place, remember, remembered
from pipeline.app.home_exchange import HomeExchange
from pipeline.settings import load
from pipeline.store.control import ControlStore
from pipeline.store.lease import LeaseStore

Run = Callable[..., Any]
ASKING = (
    ["halt", "--symbol", "BTCUSDT"], ["resume"], ["close", "BTCUSDT"], ["positions"], ["orders"], ["account"],
    ["account", "--now"], ["orders", "--now"],
    ["mode"], ["trading"], ["breakers"], ["stage"],
)  # fmt: skip


@pytest.fixture
def trades_at(home: Path) -> Callable[[Place], None]:
    """An executor of the folder trades, or traded, there."""

    def trade(place: Place) -> None:
        (home / "executor.json").write_text(json.dumps({"environment": place.environment, "exchange": place.exchange}))

    return trade


@pytest.mark.parametrize("asked", ASKING, ids=" ".join)
def test_a_shell_that_names_another_environment_is_refused(
    tidemark: Run, trades_at: Any, db: Any, asked: list[str]
) -> None:
    trades_at(Place("binance-um-demo"))
    refused = tidemark(*asked)
    assert refused.exit_code == 2
    assert "trades at binance-um-demo, and the settings here name sim" in refused.stderr
    assert "--exchange binance-um-demo, or --exchange sim" in refused.stderr
    assert ControlStore(db, "sim").read().halt is None


def test_an_environment_that_is_named_is_asked_all_the_same(tidemark: Run, trades_at: Any, db: Any) -> None:
    trades_at(Place("binance-um-demo"))
    done = tidemark("halt", "--exchange", "binance-um-demo", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["environment"] == "binance-um-demo"
    assert tidemark("halt", "--environment", "sim").exit_code == 0
    assert [ControlStore(db, name).read().halt is not None for name in ("sim", "binance-um-demo")] == [True, True]


def test_a_shell_that_names_another_exchange_is_refused(tidemark: Run, trades_at: Any, chosen: dict[str, str]) -> None:
    trades_at(Place("sim", "http://127.0.0.1:1"))
    refused = tidemark("halt", "--flatten")
    assert refused.exit_code == 2
    assert "trades at http://127.0.0.1:1" in refused.stderr
    assert chosen["TIDEMARK_SIM_URL"] in refused.stderr
    trades_at(Place("sim"))
    assert "the folder's own exchange" in tidemark("positions").stderr
    assert tidemark("positions", "--environment", "sim").exit_code == 0


def test_where_no_exchange_is_named_it_is_the_executors(
    tidemark: Run, trades_at: Any, chosen: dict[str, str], home: Path
) -> None:
    trades_at(Place("sim", chosen["TIDEMARK_SIM_URL"]))
    done = tidemark("halt", "--flatten", TIDEMARK_SIM_URL="")
    assert done.exit_code == 0, done.output
    assert chosen["TIDEMARK_SIM_URL"] in done.stderr
    assert HomeExchange(home).url is None
    assert not (home / "exchange").exists(), "no other was started"


def test_every_answer_says_of_which_place_it_is_and_who_acts(tidemark: Run, db: Any, chosen: dict[str, str]) -> None:
    LeaseStore(db, "executor:sim", "desk:77", life=600).acquire()
    for asked in (["positions", "--json"], ["orders"], ["account"], ["mode"], ["trading"], ["breakers"], ["stage"]):
        said = tidemark(*asked).stderr
        assert f"sim ({chosen['TIDEMARK_SIM_URL']}), database {db.name}" in said
        assert "desk:77 acts" in said
    done = json.loads(tidemark("halt", "--json").stdout)
    assert (done["environment"], done["database"], done["acting"]) == ("sim", db.name, "desk:77")


def test_what_an_executor_leaves_is_read_again(home: Path, monkeypatch: pytest.MonkeyPatch, simulator: Any) -> None:
    monkeypatch.setenv("TIDEMARK_HOME", str(home))
    assert remembered(home) == {}
    remember(load(), "abc123")
    assert remembered(home) == {"sim": Place("sim", None, "abc123")}
    monkeypatch.setenv("TIDEMARK_SIM_URL", simulator.url)
    remember(load(), "abc123")
    assert remembered(home) == {"sim": Place("sim", simulator.url, "abc123")}
    with HomeExchange(home).served({"um": simulator.url}):
        remember(load(), "abc123")
        assert remembered(home) == {"sim": Place("sim", None, "abc123")}, (
            "it is the folder's own while somebody looks after it there"
        )
    (home / "executor.json").write_text('{"environment": "s')
    assert remembered(home) == {}

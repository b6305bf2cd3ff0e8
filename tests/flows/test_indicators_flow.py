"""The indicators flow on a real Prefect server: groups, artifacts, what fails."""

from typing import Any

import pytest
from prefect.exceptions import ParameterTypeError
from prefect.states import Failed
from pymongo.database import Database
from pymongo.errors import AutoReconnect

from flows.backfill import BackfillChoice, backfill
from flows.indicators import IndicatorsChoice, database_failed, indicators
from pipeline.errors import TidemarkError
from pipeline.history.derive import StoreFailedError
from pipeline.store.candles.store import CandleStore
from tests.flows.artifacts import newest_artifact

pytestmark = pytest.mark.usefixtures("settings_of_the_run")


def test_a_backfill_computes_what_it_fetched_and_the_flow_all_of_it_anew(
    db: Database[Any],
) -> None:
    backfill(BackfillChoice(symbols=["BTCUSDT", "ETHUSDT"], intervals=["1h", "4h"], days=20))
    assert db["signals"].count_documents({}) > 50
    rows = indicators(IndicatorsChoice(anew=True))
    assert [(row["symbol"], row["interval"], row["written"]) for row in rows] == [
        ("BTCUSDT", "1h", 0),
        ("BTCUSDT", "4h", 0),
        ("ETHUSDT", "1h", 0),
        ("ETHUSDT", "4h", 0),
    ]
    assert rows[0]["candles"] in {480, 481}, "one more where an hour ended while they were fetched"
    assert newest_artifact("indicators-progress") == 100.0
    assert '"symbol": "ETHUSDT"' in newest_artifact("indicators-series")


def test_what_is_withdrawn_because_a_strategy_is_not_chosen_any_more_is_named(
    db: Database[Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    choice = BackfillChoice(symbols=["BTCUSDT"], intervals=["1h"], days=20)
    for flow in (lambda: indicators(IndicatorsChoice()), lambda: backfill(choice)):
        monkeypatch.setenv("TIDEMARK_STRATEGIES", "macd_cross,bollinger")
        backfill(choice)
        stored = db["signals"].count_documents({"strategy": "bollinger"})
        assert stored > 0
        monkeypatch.setenv("TIDEMARK_STRATEGIES", "macd_cross")
        caplog.clear()
        flow()
        flow()
        assert db["signals"].count_documents({"strategy": "bollinger"}) == 0
        (said,) = [one for one in caplog.messages if "bollinger" in one]
        assert said.startswith(f"{stored} stored signals of bollinger are withdrawn")
        assert "name it in `strategies` again" in said


def test_a_series_that_cannot_be_computed_fails_the_flow_with_the_list(db: Database[Any]) -> None:
    backfill(BackfillChoice(symbols=["BTCUSDT", "ETHUSDT"], intervals=["1h"], days=3))
    db["symbols"].delete_one({"symbol": "BTCUSDT"})
    with pytest.raises(TidemarkError, match=r"1 of 2 series could not be computed:\nBTCUSDT 1h: .*ackfill BTCUSDT"):
        indicators(IndicatorsChoice(anew=True))


def test_a_database_that_is_away_for_a_moment_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    backfill(BackfillChoice(symbols=["BTCUSDT"], intervals=["1h"], days=3))
    monkeypatch.setattr("flows.reporting.RETRY_DELAYS", [0.0])
    truly, failures = CandleStore.load, [AutoReconnect("gone")]

    def once(*arguments: Any) -> Any:
        if failures:
            raise failures.pop()
        return truly(*arguments)

    monkeypatch.setattr(CandleStore, "load", once)
    (row,) = indicators(IndicatorsChoice(anew=True))
    assert (row["candles"] in {72, 73}, failures) == (True, [])


@pytest.mark.parametrize(("error", "again"), [(StoreFailedError("gone"), True), (ValueError("a bug"), False)])
def test_only_a_database_that_is_away_is_worth_another_try(error: Exception, again: bool) -> None:
    state: Any = Failed(data=error, message="")
    assert database_failed(None, None, state) is again  # type: ignore[arg-type]


def test_the_parameters_are_a_form_that_refuses_what_it_does_not_know() -> None:
    with pytest.raises(ParameterTypeError, match="anew"):
        indicators({"anew": "perhaps"})  # type: ignore[arg-type]

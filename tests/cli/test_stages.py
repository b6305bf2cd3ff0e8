"""`tidemark stage` and `tidemark doctor` name the symbols that a stage of production is too small for."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from pipeline.app import stages
from pipeline.app.checks import stage
from pipeline.exchange.environments import SIM, at
from pipeline.settings import load
from pipeline.simulator.handle import Simulator

Run = Callable[..., Any]


@pytest.fixture
def production(simulator: Simulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The simulator in production's place: it lists what is asked for here."""
    place = replace(at(SIM, simulator.url), name="binance-um")
    assert place.is_production
    monkeypatch.setattr(stages, "exchange_of", lambda _, patient: place)


@pytest.mark.usefixtures("production")
def test_the_stage_names_the_symbols_it_is_too_small_for(tidemark: Run) -> None:
    shown = tidemark("stage")
    assert shown.exit_code == 0
    assert "cannot trade BTCUSDT: too small: production stage 1 allows" in shown.stdout
    assert "SOLUSDT" not in shown.stdout
    found = json.loads(tidemark("stage", "--json").stdout)
    assert sorted(found["too_small"]) == ["BTCUSDT", "ETHUSDT"]


def test_elsewhere_than_in_production_there_is_no_stage(tidemark: Run) -> None:
    assert json.loads(tidemark("stage", "--json").stdout)["too_small"] == {}
    assert list(stage(load())) == []


@pytest.mark.usefixtures("production")
def test_the_doctor_names_them_too() -> None:
    found = list(stage(load()))
    assert [one.state for one in found] == ["note", "note"]
    assert found[0].found.startswith("stage 1 cannot trade BTCUSDT, ETHUSDT: BTCUSDT is too small")
    assert found[1].found.startswith("stage 2 cannot trade BTCUSDT: ")


def test_an_exchange_that_does_not_answer_is_said(tidemark: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    nowhere = replace(at(SIM, "http://127.0.0.1:9"), name="binance-um", retries=0)
    monkeypatch.setattr(stages, "exchange_of", lambda _, patient: nowhere)
    shown = tidemark("stage")
    assert shown.exit_code == 0
    assert "cannot be asked now" in shown.stderr
    assert "could not be asked" in next(stage(load())).found

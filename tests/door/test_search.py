"""`tidemark search`: every trial is kept once, whoever asks again, and however often it was interrupted."""

import csv
import io
import json
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from pipeline.app import adopting
from pipeline.app import searched as searching
from pipeline.app.search import FIGURES, search
from pipeline.app.searched import SearchFor
from pipeline.cli.app import build
from pipeline.errors import UsageError
from pipeline.research.search.jobs import Doer, Job
from pipeline.research.search.trial import Answer, Trials
from pipeline.store.candles.store import CandleStore
from pipeline.store.control import ControlStore
from pipeline.store.series import SeriesStore
from pipeline.timeline import MINUTE, to_ms
from schemas.series import SeriesKey
from tests.door.test_pages import ROOT
from tests.mongosh import Shell
from tests.test_docs import fenced
from tidemark import Tidemark

BASE: dict[str, Any] = {
    "strategy": "ma_breakout", "symbols": ["BTCUSDT"], "interval": "15m", "space": ["n=3..60", "stop=1..3:0.5"],
    "objectives": ["return_pct"], "folds": 2, "trials": 45, "sealed": 0.2,
}  # fmt: skip
RUN = (
    "search", "ma_breakout", "--symbol", "BTCUSDT", "-i", "15m", "--space", "n=3..60", "--objective", "return_pct",
    "--walk-forward", "2",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def minutes(filled: Tidemark) -> None:
    filled.backfill("BTCUSDT", "1m", days=10)


@pytest.fixture(autouse=True)
def nothing_left(filled: Tidemark) -> Iterator[None]:
    yield
    for name in ("searches", "trials"):
        filled._opened.db[name].delete_many({})


def told(*arguments: str) -> str:
    done = CliRunner().invoke(build(), [*arguments], env={"COLUMNS": "100"})
    assert done.exit_code == 0, done.output
    return done.stdout


def kept(tm: Tidemark, name: str) -> list[dict[str, Any]]:
    found = tm._opened.db["trials"].find({"search": name}).sort("number")
    return [{key: value for key, value in one.items() if key not in {"_id", "search"}} for one in found]


@pytest.mark.parametrize("sampler", ["random", "tpe", "qmc", "grid"])
def test_the_same_seed_tries_the_same_sets(filled: Tidemark, sampler: str) -> None:
    tm = filled._opened
    one = search(tm, SearchFor(**BASE | {"name": "one", "sampler": sampler}))
    search(tm, SearchFor(**BASE | {"name": "other", "sampler": sampler}))
    assert len(one.trials) == 45
    assert len({str(each.parameters) for each in one.trials}) == 45
    assert kept(filled, "one") == kept(filled, "other")
    if sampler in {"random", "tpe", "qmc"}:
        search(tm, SearchFor(**BASE | {"name": "third", "sampler": sampler, "seed": 2}))
        assert kept(filled, "third") != kept(filled, "one")


class Killed(BaseException):
    """As a kill: nobody handles it."""


def dying(after: int) -> Any:
    """Who tries sets, the last of a round first, and dies on the way."""

    def workers(trials: Trials) -> Doer:
        left = iter(range(after))

        def do(jobs: Sequence[Job]) -> Iterator[tuple[int, Any]]:
            for place, one in reversed(list(enumerate(jobs))):
                if next(left, None) is None:
                    raise Killed
                yield place, one(trials)

        return do

    return workers


@pytest.mark.parametrize("sampler", ["random", "tpe"])
def test_one_that_was_killed_goes_on_and_is_the_same(filled: Tidemark, sampler: str) -> None:
    tm = filled._opened
    asked = BASE | {"sampler": sampler, "prune": True}
    whole = search(tm, SearchFor(**asked | {"name": "whole"}))
    for after in (7, 3, 25):
        with pytest.raises(Killed):
            search(tm, SearchFor(**asked | {"name": "killed"}), workers=dying(after))
    assert tm.db["trials"].count_documents({"search": "killed"}) == 35
    again = search(tm, searching.resumed(tm, "killed"))
    assert kept(filled, "killed") == kept(filled, "whole")
    assert [one.number for one in again.best] == [one.number for one in whole.best]
    assert again.forward == whole.forward
    assert "pruned" in {one.state for one in again.trials}


def test_it_goes_on_with_more_but_not_with_something_else(filled: Tidemark) -> None:
    tm = filled._opened
    search(tm, SearchFor(**BASE | {"name": "x", "trials": 5}))
    first = kept(filled, "x")
    named: list[str] = []
    more = search(tm, searching.resumed(tm, "x", 30), begun=named.append)
    assert (len(more.trials), more.search.trials, named) == (30, 30, ["x"])
    assert kept(filled, "x")[:5] == first
    for changed in ({"seed": 3}, {"space": ["n=3..61"]}, {"folds": 1}, {"sampler": "qmc"}):
        with pytest.raises(UsageError, match="was begun otherwise"):
            search(tm, SearchFor(**BASE | {"name": "x"} | changed))


def test_a_small_space_is_tried_whole_and_no_more(filled: Tidemark) -> None:
    for sampler in ("random", "tpe", "qmc", "grid"):
        asked = BASE | {"space": ["n=5,6,7"], "sampler": sampler, "name": sampler}
        found = search(filled._opened, SearchFor(**asked)).trials
        assert sorted(one.parameters["n"] for one in found) == [5, 6, 7]


def test_a_set_that_fails_says_so_and_the_search_goes_on(filled: Tidemark, tmp_path: Any) -> None:
    file = tmp_path / "brittle.py"
    file.write_text(
        "from dataclasses import dataclass\nfrom typing import ClassVar\nimport numpy as np\n\n"
        "@dataclass(frozen=True)\nclass Brittle:\n    name: ClassVar[str] = 'brittle'\n    n: int = 1\n"
        "    needs = ('close',)\n    lookback = 0\n"
        "    def signals(self, columns):\n        if self.n == 3:\n            raise ValueError('no threes')\n"
        "        return np.zeros(len(columns['close']), np.int8)\n"
    )
    asked = BASE | {"strategy": f"{file}:Brittle", "space": ["n=1..5"], "sampler": "grid"}
    found = search(filled._opened, SearchFor(**asked)).trials
    assert [one.state for one in found] == ["done", "done", "failed", "done", "done"]
    assert "no threes" in str(found[2].reason)


def test_several_objectives_have_a_front(filled: Tidemark) -> None:
    asked = BASE | {"objectives": ["return_pct", "max_drawdown_pct"], "name": "two"}
    found = search(filled._opened, SearchFor(**asked))
    front = [(one.figures["return_pct"], one.figures["max_drawdown_pct"]) for one in found.best]
    assert front == sorted(front, reverse=True)
    assert [one for _, one in front] == sorted((one for _, one in front), reverse=True)
    for one in found.trials:
        told = (one.figures["return_pct"], one.figures["max_drawdown_pct"])
        assert any(best[0] >= told[0] and best[1] <= told[1] for best in front)


def test_what_led_a_sampler_is_not_what_judges(filled: Tidemark, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prices behind the first training stretch may be what they like: the same sets are tried."""
    tm = filled._opened
    search(tm, SearchFor(**BASE | {"name": "one", "sampler": "tpe"}))
    answer = Trials.answer

    def otherwise(self: Trials, point: Any, floor: float | None = None) -> Answer:
        found = answer(self, point, floor)
        figures = {name: value and -value for name, value in found.figures.items()}
        return Answer(found.state, found.reason, found.early, figures, found.folds, found.equity)

    monkeypatch.setattr(Trials, "answer", otherwise)
    search(tm, SearchFor(**BASE | {"name": "other", "sampler": "tpe"}))
    parameters = [[one["parameters"] for one in kept(filled, name)] for name in ("one", "other")]
    assert parameters[0] == parameters[1]


def test_the_command_shows_what_is_kept(filled: Tidemark) -> None:
    shown = told(*RUN, "--trials", "25", "--name", "shown")
    assert "shown:" in shown
    assert "out of sample" in shown
    assert "likely luck" in shown
    found = json.loads(told("trials", "--search", "shown", "--json", "--limit", "100"))
    returns = [one["return_pct"] for one in found]
    assert returns == sorted(returns, reverse=True)
    assert len(found) == 25
    rows = list(csv.DictReader(io.StringIO(told("trials", "--search", "shown", "--csv"))))
    assert rows[0]["id"] == found[0]["id"]
    assert "profit_factor" in told("trials", "show", found[0]["id"])
    assert json.loads(told("trials", "show", found[0]["id"], "--json"))["parameters"] == {"n": found[0]["n"]}
    assert "25/25" in told("trials")
    assert json.loads(told("trials", "--json"))[0]["id"] == "shown"
    whole = json.loads(told("search", "--resume", "shown", "--json"))
    assert whole["result"]["verdict"]["word"] == "likely luck"
    assert whole["best"][0]["id"] == found[0]["id"]
    assert len(whole["result"]["forward"]["steps"]) == 2


@pytest.mark.parametrize("width", ["60", "80", "120"])
def test_what_a_person_reads_fits(width: str) -> None:
    for command in ((*RUN, "--trials", "5", "--name", "x"), ("trials",), ("trials", "--search", "x")):
        done = CliRunner().invoke(build(), [*command], env={"COLUMNS": width})
        assert done.exit_code == 0
        assert max(map(len, done.stdout.splitlines())) <= int(width)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("search",), "name a strategy"),
        (("search", "ma_breakout", "--resume", "x"), "not both"),
        (("search", "--resume", "x"), "there is no search 'x'"),
        (("search", "macd_turtel"), "macd_turtle"),
        (("search", "bollinger", "--symbol", "BTCUSDT", "-i", "15m"), "nothing to search"),
        ((*RUN, "--space", "n=1"), "twice"),
        ((*RUN, "--trials", "0"), "at least 1"),
        ((*RUN, "--sampler", "magic"), "There are: random, tpe, qmc, grid"),
        ((*RUN[:6], "--walk-forward", "2", "--objective", "sharp"), "Did you mean 'sharpe'"),
        ((*RUN[:6], "--walk-forward", "2"), "not said of fewer than 30 days"),
        ((*RUN[:-1], "40"), "40 folds need at least 42 days"),
        ((*RUN, "--sealed", "0.9"), "from 0 to 0.5"),
        ((*RUN[:-1], "0", "--prune"), "leave out --walk-forward 0"),
        ((*RUN, "--days", "3", "--start", "2026-01-01"), "--days and --start"),
        (("trials", "--search", "x"), "there is no search 'x'"),
        (("trials", "show", "x:1"), "there is no trial 'x:1'"),
        (("trials", "--json", "--csv"), "exclude each other"),
    ],
)
def test_what_cannot_be_searched_is_refused_with_a_way_out(arguments: tuple[str, ...], says: str) -> None:
    done = CliRunner().invoke(build(), [*arguments])
    assert done.exit_code == 2
    assert says in " ".join(done.output.split())
    assert "Traceback" not in done.output


def test_what_the_page_tells_to_type_works(filled: Tidemark) -> None:
    for command in fenced(ROOT / "docs" / "search.md", "run"):
        assert told(*shlex.split(command)[1:]).strip(), command


def test_the_ten_queries_of_the_page_find_what_they_say(filled: Tidemark) -> None:
    tm = filled._opened
    first = search(tm, SearchFor(**BASE | {"name": "first", "trials": 20, "space": ["n=5..60:5", "stop=1,2,3"]}))
    search(tm, SearchFor(**BASE | {"name": "other", "trials": 5}))
    failed = first.trials[0].model_copy(
        update={"id": "first:99", "number": 99, "state": "failed", "reason": "no", "figures": {}, "folds": []}
    )
    tm.db["trials"].insert_one(failed.to_mongo())
    tm.db["searches"].update_one({"_id": "other"}, {"$set": {"result.verdict.word": "fragile"}})
    every = {one.id: one for one in [*first.trials, failed]}
    lines = fenced(ROOT / "docs" / "search.md", "js")
    found = [Shell(one, datetime.now(UTC)).run(tm.db) for one in lines if not one.startswith("//")]
    names = [[one["_id"] for one in rows] for rows in found]
    done = {key: one.figures for key, one in every.items() if one.state == "done"}
    best = sorted((one["return_pct"] for one in done.values()), reverse=True)[:5]
    assert [done[key]["return_pct"] for key in names[0]] == best, "of those that brought as much any comes first"
    assert set(names[1]) == {key for key, one in every.items() if int(str(one.parameters["n"])) >= 20}
    sharpe = [done[key]["sharpe"] for key in done if every[key].parameters["n"] == names[2][0]]
    known = [one for one in sharpe if one is not None]
    assert found[2][0]["sharpe"] == (pytest.approx(sum(known) / len(known)) if known else None)
    assert found[3] == [{"_id": "first:99", "parameters": failed.parameters, "reason": "no"}]
    lost = {key for key, one in every.items() if any((fold["test"]["return_pct"] or 0) < 0 for fold in one.folds)}
    assert set(names[4]) == set(every) - lost
    steady = {key for key, one in done.items() if one["max_drawdown_pct"] <= 10 and one["trades"] >= 5}
    assert (set(names[5]), names[6]) == (steady, [0, 1])
    behind = [every[key].folds[1]["test"]["return_pct"] for key in done]
    assert found[6][1]["brought"] == pytest.approx(sum(behind) / len(behind))
    counted = {(one["_id"]["search"], one["_id"]["state"]): one["trials"] for one in found[7]}
    assert counted == {("first", "done"): 20, ("other", "done"): 5, ("first", "failed"): 1}
    assert (names[8], names[9]) == (["other", "first"], ["other"])
    assert len(found) == 10


def test_every_figure_of_a_trial_can_be_an_objective_and_the_door_says_the_same(filled: Tidemark) -> None:
    found = filled.search(
        "ma_breakout", symbols="BTCUSDT", interval="15m", space={"n": range(5, 61, 5)}, objectives="profit_factor",
        walk_forward=2, trials=6, progress=False,
    )  # fmt: skip
    table = found.trials
    assert table.height == 6
    assert table["profit_factor"].to_list() == sorted(table["profit_factor"], reverse=True)
    assert found.best == {"n": table["n"][0]}
    assert filled.trials(found.name).equals(table)
    assert found.equity["equity"][-1] == pytest.approx(10_000 * (1 + found.out_of_sample["return_pct"] / 100))
    daily = found.equity["equity"].pct_change().drop_nulls()
    shared = json.loads(told("allocate", "--walk-forward", found.name, "--json"))
    assert f"% (Sharpe {daily.mean() / daily.std() * 365**0.5:.2f}" in shared["changed"]["reason"]  # type: ignore[operator]
    told("allocate", "--all")
    assert found.folds.height == 2
    grown = (1 + found.folds["return_pct"] / 100).product()
    assert grown == pytest.approx(1 + found.out_of_sample["return_pct"] / 100)
    assert "6 trials of ma_breakout" in repr(found)
    found.report("report.html")
    report = Path("report.html").read_text()
    assert f"<td>{table['id'][0]}</td>" in report
    assert f"Out of sample {found.out_of_sample['return_pct']:+,.2f} %" in report
    told("search", "--resume", found.name, "--html", "again.html")
    assert Path("again.html").read_text() == report
    nowhere = CliRunner().invoke(build(), ["search", "--resume", found.name, "--html", "no/where.html"])
    assert (nowhere.exit_code, "the report cannot be written to no/where.html" in nowhere.output) == (2, True)
    stored = filled._opened.db["trials"].find_one({"search": found.name})
    assert stored is not None
    assert set(FIGURES) == set(stored["figures"])


def test_an_equity_that_pays_no_unit_is_refused_before_anything_is_tried(filled: Tidemark) -> None:
    with pytest.raises(UsageError, match=r"an equity of 1 USDT cannot pay one unit: .* takes about [\d.]+ USDT"):
        filled.search("ma_breakout", symbols="BTCUSDT", interval="15m", space={"n": range(5, 8)}, equity=1)
    cheaper = {"n": [5], "unit": [1, 10], "leverage": [1, 20]}
    found = filled.search(
        "ma_breakout", symbols="BTCUSDT", interval="15m", space=cheaper, equity=200, trials=2, walk_forward=0,
        objectives="return_pct", sealed=0,
    )  # fmt: skip
    assert len(found.trials) == 2, "one of its sets may pay"


def test_minutes_that_are_not_stored_are_refused_unless_one_says_to_go_on(
    filled: Tidemark, monkeypatch: pytest.MonkeyPatch
) -> None:
    stored, whole = CandleStore.columns, filled._opened
    key = SeriesKey("sim", "BTCUSDT", "1m")
    known = SeriesStore(whole.db).get(key)
    assert known is not None
    assert known.last_closed is not None
    first = to_ms(known.last_closed) - 2_000 * MINUTE

    def without(self: CandleStore, asked: SeriesKey, *rest: Any) -> Any:
        columns = stored(self, asked, *rest)
        if asked != key:
            return columns
        there = (columns["t"] < first) | (columns["t"] >= first + 3 * MINUTE)
        return {name: values[there] for name, values in columns.items()}

    monkeypatch.setattr(CandleStore, "columns", without)
    with pytest.raises(UsageError, match=r"3 minutes are not stored .* BTCUSDT from .* --through-holes"):
        search(whole, SearchFor(**BASE))
    on = search(whole, SearchFor(**BASE | {"through_holes": True, "trials": 2, "name": "through"}))
    assert on.search.notes[0].startswith("3 minutes are not stored")
    assert searching.resumed(whole, "through").through_holes


def test_every_trial_that_was_ever_made_on_these_days_counts(filled: Tidemark) -> None:
    tm = filled._opened
    first = search(tm, SearchFor(**BASE | {"trials": 20}))
    again = search(tm, SearchFor(**BASE | {"trials": 20, "seed": 2}))
    before = search(tm, SearchFor(**BASE | {"trials": 5, "days": 4, "folds": 1, "end": again.forward.times[0]}))  # type: ignore[union-attr]
    assert [one.verdict.evidence.trials for one in (first, again, before)] == [20, 40, 45]
    assert search(tm, searching.resumed(tm, first.search.id)).verdict.evidence.trials == 45


def test_the_sealed_days_open_once_and_for_one_trial(filled: Tidemark) -> None:
    tm = filled._opened
    found = search(tm, SearchFor(**BASE | {"name": "x", "trials": 20, "space": ["n=3..60"]}))
    sealed = found.search.sealed
    assert sealed is not None
    assert (sealed.start, sealed.opened_at, sealed.figures) == (found.search.end, None, None)
    best = found.best[0]
    first = json.loads(told("trials", "open", "x", "--json"))
    assert first["trial"] == best.id
    plain = filled.backtest(
        "ma_breakout", symbols="BTCUSDT", intervals="15m", start=sealed.start, end=sealed.end, progress=False,
        n=best.parameters["n"],
    ).summary  # fmt: skip
    assert first["figures"] == {one: asdict(plain)[one] for one in FIGURES}
    assert json.loads(told("trials", "open", "x", "--json")) == first
    assert "sealed days" in told("trials", "open", "x")
    other = next(one.id for one in found.trials if one.id != best.id)
    done = CliRunner().invoke(build(), ["trials", "open", "x", "--trial", other])
    assert (done.exit_code, "once: leave" in " ".join(done.output.split())) == (2, True)


def test_a_seal_that_was_broken_by_a_kill_says_it_all_the_same(
    filled: Tidemark, monkeypatch: pytest.MonkeyPatch
) -> None:
    tm = filled._opened
    found = search(tm, SearchFor(**BASE | {"name": "x", "trials": 5}))
    chosen = found.trials[3].id

    def kill(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr("pipeline.app.stage.set_up", kill)
        with pytest.raises(Killed):
            adopting.open_sealed(tm, "x", chosen)
    assert adopting.open_sealed(tm, "x").sealed.trial == chosen  # type: ignore[union-attr]
    assert adopting.open_sealed(tm, "x").sealed.figures  # type: ignore[union-attr]


def test_a_trial_is_adopted_once_the_strategy_runs_as_it_did(filled: Tidemark) -> None:
    tm = filled._opened
    settings = tm.settings
    found = search(tm, SearchFor(**BASE | {"name": "x", "trials": 5, "space": ["n=31..40", "stop=1.5", "leverage=2"]}))
    best = found.best[0]
    with pytest.raises(UsageError, match=rf"\[strategy_parameters.ma_breakout\]; n = {best.parameters['n']}"):
        adopting.adopt(tm, best.id, "BTCUSDT", by="me")
    assert "BTCUSDT" not in ControlStore(tm.db, tm.environment).read().trading
    tm.settings = settings.model_copy(update={"strategy_parameters": {"ma_breakout": {"n": best.parameters["n"]}}})
    try:
        written = adopting.adopt(tm, best.id, "btcusdt", by="me")
        own = ControlStore(tm.db, tm.environment).read().trading["BTCUSDT"]
        told = (own.strategies, own.intervals, own.stop_atr, own.leverage, own.take_profit_atr)
        assert told == (["ma_breakout"], ["15m"], Decimal("1.5"), 2, None)
        assert written.reason == f"trial {best.id} of a search of ma_breakout: likely luck"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(adopting, "is_production", lambda _: True)
            with pytest.raises(UsageError, match="likely luck, and this is real money"):
                adopting.adopt(tm, best.id, "BTCUSDT", by="me")
            assert adopting.adopt(tm, best.id, "BTCUSDT", by="me", anyway=True).changes == written.changes
    finally:
        tm.settings = settings
        tm.db["control"].delete_many({})


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("trials", "open", "x"), "there is no search 'x'"),
        (("adopt", "x:1", "--symbol", "BTCUSDT"), "there is no trial 'x:1'"),
        (("adopt", "x:1"), "--symbol"),
    ],
)
def test_what_cannot_be_opened_or_adopted(arguments: tuple[str, ...], says: str) -> None:
    done = CliRunner().invoke(build(), [*arguments], env={"COLUMNS": "200"})
    assert done.exit_code == 2
    assert says in done.output


def test_a_search_without_sealed_days_has_none_to_open(filled: Tidemark) -> None:
    search(filled._opened, SearchFor(**BASE | {"name": "x", "trials": 3, "sealed": 0.0}))
    with pytest.raises(UsageError, match="no sealed days"):
        adopting.open_sealed(filled._opened, "x")

"""The journal, the switches, the account and the feed of signals, on a real server."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pymongo.database import Database

from pipeline.store.account import AccountStore, PositionStore
from pipeline.store.control import ControlStore
from pipeline.store.orders import FencedError, OrderJournal
from pipeline.store.prepare import prepare
from pipeline.store.signals.feed import SignalFeed
from schemas.accounts import Snapshot
from schemas.control import Breaker
from schemas.orders import Order, Plan, Transition
from schemas.positions import Position
from schemas.signals import Decision, Side, Signal
from tests.profile import Cost, profiled

Db = Database[dict[str, Any]]
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def prepared(db: Db) -> Db:
    prepare(db)
    return db


@contextmanager
def restored(db: Db, name: str) -> Iterator[Db]:
    copy = db.client[f"{db.name}-{name}"]
    copy.control.insert_many(db.control.find())
    yield copy
    db.client.drop_database(copy.name)


def order(name: str = "tm-e-1", fence: int = 1, minute: int = 0, **fields: Any) -> Order:
    plan = Plan(
        strategy="s", price=Decimal("1.5"), atr=Decimal("0.1"), unit_quantity=Decimal(1), stop_price=Decimal("1.3"),
        fresh_until=NOW,
    )  # fmt: skip
    made = NOW + timedelta(minutes=minute)
    known = {
        "environment": "sim", "symbol": "BTCUSDT", "signal": "sig", "leg": "entry", "side": "BUY", "type": "MARKET",
        "quantity": Decimal("0.010"), "plan": plan, "state": "intended", "filled": Decimal(0),
        "history": [Transition(state="intended", at=made, by="executor")], "created_at": made, "updated_at": made,
    }  # fmt: skip
    return Order(id=name, fence=fence, **(known | fields))


def signal(name: str = "sig", exchange: str = "sim", **fields: Any) -> Signal:
    known = {
        "symbol": "BTCUSDT", "interval": "1h", "strategy": "s", "kind": "entry", "side": "long", "candle": NOW,
        "at": NOW, "price": 100.0, "strength": 0.5, "indicators": {"atr": 1.0}, "settings": "x", "source": "live",
        "confirmed": True, "created_at": NOW, "verdict": "fresh", "fresh_until": NOW,
    }  # fmt: skip
    return Signal(id=name, exchange=exchange, **(known | fields))


def test_an_intent_is_written_once_and_its_life_appended(prepared: Db) -> None:
    journal = OrderJournal(prepared, "sim")
    assert journal.intend(order())
    assert not journal.intend(order(symbol="ETHUSDT", fence=2)), "of another term"
    step = Transition(state="sent", at=NOW + timedelta(seconds=1), by="executor")
    journal.append(order(), step, {"attempts": 1})
    step = Transition(state="filled", at=NOW + timedelta(seconds=2), by="answer", detail="at once")
    for _ in range(2):
        journal.append(order(), step, {"filled": Decimal("0.010"), "exchange_id": 7})
    found = journal.get("tm-e-1")
    assert found is not None
    assert (found.symbol, found.state, found.attempts, found.filled) == ("BTCUSDT", "filled", 1, Decimal("0.010"))
    assert [one.state for one in found.history] == ["intended", "sent", "filled"]
    assert found.plan == order().plan
    assert found.updated_at == step.at
    journal.add("tm-e-1", {"fee": Decimal("0.02"), "realized": Decimal(0)})
    learnt = journal.get("tm-e-1")
    assert learnt == found.model_copy(update={"fee": Decimal("0.02"), "realized": Decimal(0)})
    assert journal.get("none") is None
    assert [one.id for one in journal.named(["tm-e-1", "none"])] == ["tm-e-1"]


def test_an_intent_whose_answer_was_lost_is_written_anew_by_its_own_term(prepared: Db) -> None:
    journal = OrderJournal(prepared, "sim")
    for quantity in ("0.010", "0.020"):
        assert journal.intend(order(fence=2, quantity=Decimal(quantity)))
    found = journal.get("tm-e-1")
    assert found is not None
    assert (found.quantity, len(found.history)) == (Decimal("0.020"), 1)
    assert not journal.intend(order(fence=1))
    assert not journal.intend(order(fence=3))
    journal.append(order(fence=2), Transition(state="sent", at=NOW + timedelta(seconds=1), by="executor"), {})
    assert not journal.intend(order(fence=2)), "it may have left"


def test_an_order_sent_without_its_intent_is_written_with_its_next_state(prepared: Db) -> None:
    journal = OrderJournal(prepared, "sim")
    step = Transition(state="accepted", at=NOW + timedelta(seconds=1), by="answer")
    journal.append(order(leg="stop", plan=None), step, {"exchange_id": 9, "filled": Decimal(0)})
    expected = order(leg="stop", plan=None).model_copy(
        update={"state": "accepted", "history": [step], "exchange_id": 9, "updated_at": step.at}
    )
    assert journal.get("tm-e-1") == expected


def test_only_the_fence_that_holds_an_order_may_change_it(prepared: Db) -> None:
    journal = OrderJournal(prepared, "sim")
    journal.intend(order("open"))
    journal.intend(order("done", state="filled"))
    OrderJournal(prepared, "binance-um").intend(order("elsewhere", environment="binance-um"))
    journal.claim(2)
    step = Transition(state="sent", at=NOW, by="executor")
    with pytest.raises(FencedError):
        journal.append(order("open"), step, {})
    journal.append(order("open", fence=2), step, {})
    journal.append(order("done", fence=2), Transition(state="filled", at=NOW, by="stream"), {"filled": Decimal(1)})
    journal.claim(1)
    assert {one["_id"]: one["fence"] for one in prepared.orders.find()} == {"open": 2, "done": 2, "elsewhere": 1}


def test_orders_are_found_by_what_is_asked(prepared: Db) -> None:
    journal = OrderJournal(prepared, "sim")
    for minute, (name, state) in enumerate([("a", "filled"), ("b", "unknown"), ("c", "accepted"), ("d", "rejected")]):
        symbol = "ETHUSDT" if name == "c" else "BTCUSDT"
        journal.intend(order(name, minute=minute, state=state, symbol=symbol, signal=f"of {name}"))
    assert [one.id for one in journal.unsettled()] == ["b", "c"]
    assert [one.id for one in journal.since(NOW + timedelta(minutes=2))] == ["c", "d"]
    assert [one.id for one in journal.settled_since(NOW + timedelta(minutes=1))] == ["d"]
    assert [one.id for one in journal.of_signals(["of d", "of a", "none"])] == ["a", "d"]
    assert [one.id for one in journal.newest(2)] == ["d", "c"]
    assert [one.id for one in journal.newest(9, "ETHUSDT")] == ["c"]


def test_switches_are_audited(prepared: Db) -> None:
    control = ControlStore(prepared, "sim")
    assert control.read().mode is None
    control.set_mode("auto-execute", by="ann", now=NOW, reason="go")
    control.set_mode("signal-only", by="bob", now=NOW)
    control.set_halt(True, flatten=True, by="ann", now=NOW, reason="panic")
    control.set_halt(False, flatten=False, by="ann", now=NOW)
    control.set_trading("BTCUSDT", {"leverage": 5, "max_position": Decimal(100)}, by="ann", now=NOW)
    control.set_trading("BTCUSDT", {"enabled": False}, by="ann", now=NOW)
    control.set_stage(1, by="ann", now=NOW)
    control.add_clean_day("2026-03-01")
    control.add_clean_day("2026-03-01")
    found = control.read()
    assert found.mode is not None
    assert [(one.by, one.old, one.new, one.reason) for one in found.mode.changes] == [
        ("ann", None, "auto-execute", "go"),
        ("bob", "auto-execute", "signal-only", None),
    ]
    assert found.halt is not None
    assert not found.halt.halted
    assert [(one.old, one.new) for one in found.halt.changes] == [
        (None, "halted, flatten"),
        ("halted, flatten", "running"),
    ]
    trading = found.trading["BTCUSDT"]
    assert (trading.enabled, trading.leverage, trading.max_position) == (False, 5, Decimal(100))
    assert [(one.old, one.new) for one in trading.changes] == [
        (None, "leverage=5, max_position=100"),
        ("enabled=None", "enabled=False"),
    ]
    assert found.stage is not None
    assert (found.stage.stage, found.stage.clean_days) == (1, ["2026-03-01"])
    control.forget_clean_days()
    assert ControlStore(prepared, "binance-um").read().stage is None
    stage = control.read().stage
    assert stage is not None
    assert stage.clean_days == []


def test_of_many_that_start_together_one_gives_the_database_its_name(prepared: Db) -> None:
    together = threading.Barrier(8)

    def start(number: int) -> str:
        control = ControlStore(prepared, "sim")
        together.wait(60)
        return control.identify(f"name0{number}").name

    with ThreadPoolExecutor(8) as threads:
        (name,) = set(threads.map(start, range(8)))
    assert ControlStore(prepared, "sim").identify("later0").name == name
    assert ControlStore(prepared, "binance-um").identify("other0").name == "other0", "each environment has its own"


def test_a_copy_under_another_name_is_another_installation(prepared: Db) -> None:
    control = ControlStore(prepared, "sim")
    assert control.read().installation is None
    first = control.identify("first0")
    assert (first.database, first.copy_of, first.taken_over) == (prepared.name, None, [])
    for _ in range(2):
        control.take_over("gone00", by="ann", now=NOW, reason="2 orders")
    taken = control.identify("ignored")
    assert (taken.name, taken.taken_over) == ("first0", ["gone00"])
    assert [(one.by, one.new, one.reason) for one in taken.changes] == [("ann", "took over gone00", "2 orders")]

    with restored(prepared, "copy") as copy:
        known = ControlStore(copy, "sim")
        assert known.read().installation is None, "until it has a name of its own it is nobody"
        second = known.identify("second")
        assert (second.name, second.copy_of, second.taken_over, second.changes) == ("second", "first0", [], [])
        assert known.identify("third0") == known.read().installation == second
    assert control.identify("later0") == taken


def test_a_breaker_is_tripped_and_reset(prepared: Db) -> None:
    control = ControlStore(prepared, "sim")
    tripped = Breaker(
        id="breaker:sim:loss", kind="breaker", environment="sim", name="loss", tripped=True, reason="-6 %", at=NOW
    )
    control.trip(tripped)
    control.trip(tripped)
    assert control.read().breakers == {"loss": tripped}
    assert control.reset("loss", now=NOW, reason="ann looked")
    assert not control.reset("loss", now=NOW, reason="again")
    assert not control.read().breakers["loss"].tripped


def test_positions_are_replaced_and_snapshots_grow(prepared: Db) -> None:
    positions, store = PositionStore(prepared, "sim"), AccountStore(prepared, "sim")
    accounts = store.of("USDT")
    held = Position(
        id="sim:BTCUSDT:BOTH", environment="sim", symbol="BTCUSDT", quantity=Decimal("-0.5"), entry_price=Decimal(100),
        ours=True, closing="exit", side="short", updated_at=NOW,
    )  # fmt: skip
    positions.save([held])
    positions.save([held.model_copy(update={"quantity": Decimal(0)})])
    positions.save([])
    (found,) = positions.list()
    assert (found.quantity, found.side, found.closing) == (Decimal(0), "short", "exit")
    assert accounts.latest() is None
    for hour in (0, 5, 30):
        store.add(snapshot(hour))
        store.add(snapshot(hour))
    assert accounts.latest() == snapshot(30)
    assert accounts.latest_before(NOW + timedelta(hours=30)) == snapshot(5)
    assert accounts.latest_before(NOW) is None
    assert accounts.count(NOW, NOW + timedelta(hours=30)) == 2
    assert accounts.daily(NOW) == [snapshot(5), snapshot(30)]
    assert accounts.daily() == [snapshot(5), snapshot(30)]
    assert accounts.daily(NOW + timedelta(hours=6)) == [snapshot(30)]
    assert AccountStore(prepared, "binance-um").of("USDT").daily(NOW) == []


def test_what_an_account_was_worth_is_told_in_one_asset(prepared: Db) -> None:
    store, of_coin = AccountStore(prepared, "sim"), snapshot(6)
    of_coin = of_coin.model_copy(update={"id": "sim:BTC", "asset": "BTC"})
    for one in (snapshot(5), of_coin):
        store.add(one)
    assert store.assets() == ["BTC", "USDT"]
    assert [one.daily() for one in store.each()] == [[of_coin], [snapshot(5)]]
    assert store.of("USDT").latest() == snapshot(5)


def test_the_days_of_an_account_cost_a_look_up_each_however_many_snapshots_they_have(prepared: Db) -> None:
    accounts = AccountStore(prepared, "sim").of("USDT")
    for day in range(3):
        minutes = [NOW + timedelta(days=day, minutes=one) for one in range(600)]
        prepared.accounts.insert_many([snapshot(0, at).to_mongo() for at in minutes])
    prepared.command("profile", 2)
    assert [one.at.day for one in accounts.daily()] == [NOW.day, NOW.day + 1, NOW.day + 2]
    prepared.command("profile", 0)
    looked_up = list(prepared["system.profile"].find({"ns": f"{prepared.name}.accounts"}))
    assert 3 <= len(looked_up) <= 4
    assert sum(one["docsExamined"] for one in looked_up) == 3


def snapshot(hour: int, at: datetime | None = None) -> Snapshot:
    amounts = dict.fromkeys(
        ("equity", "wallet", "available", "unrealized", "realized_today", "fees_today", "funding_today",
         "transfers_today"), Decimal(hour),
    )  # fmt: skip
    at = at or NOW + timedelta(hours=hour)
    return Snapshot(id=f"sim:{at.isoformat()}", environment="sim", at=at, asset="USDT", open_positions=0, **amounts)


@pytest.mark.parametrize("decided", [100, 1_000])
def test_looking_for_what_is_undecided_reads_nothing_else(prepared: Db, decided: int) -> None:
    """The executor looks every other while, beside every signal that was ever found."""
    old = [
        signal(f"old {number}", verdict="expired", at=NOW - timedelta(minutes=number)).to_mongo()
        for number in range(decided)
    ]
    prepared.signals.insert_many(
        [*old, signal("two").to_mongo(), signal("one", at=NOW - timedelta(hours=1)).to_mongo()]
    )
    costs: list[Cost] = []
    with profiled(prepared, costs):
        assert [one.id for one in SignalFeed(prepared, "sim").undecided()] == ["one", "two"]
    assert costs[0].read == 2


def test_a_verdict_is_written_once(prepared: Db) -> None:
    feed = SignalFeed(prepared, "sim")
    prepared.signals.insert_many(
        [
            signal("one").to_mongo(),
            signal("open", confirmed=False).to_mongo(),
            signal("old", verdict="expired").to_mongo(),
            signal("elsewhere", exchange="binance-um").to_mongo(),
        ]
    )
    assert [one.id for one in feed.undecided()] == ["one"]
    decision = Decision(
        mode="signal-only", at=NOW, units=Decimal(2), quantity=Decimal("0.01"), notional=Decimal(1), equity=Decimal(9),
        leverage=3,
    )  # fmt: skip
    assert feed.decide("one", "taken", NOW, decision=decision, orders=("tm-e-1",))
    assert not feed.decide("one", "expired", NOW, reason="late")
    assert not feed.decide("open", "skipped", NOW, reason="not confirmed")
    assert not feed.decide("none", "skipped", NOW)
    found = Signal.from_mongo(prepared.signals.find_one({"_id": "one"}) or {})
    assert (found.verdict, found.reason, found.decision, found.orders) == ("taken", None, decision, ["tm-e-1"])
    assert feed.undecided() == []


def test_what_had_expired_is_acted_on_after_all_and_then_it_stands(prepared: Db) -> None:
    feed = SignalFeed(prepared, "sim")
    prepared.signals.insert_one(signal("old", verdict="expired").to_mongo())
    assert feed.decide("old", "expired", NOW, reason="late")
    assert not feed.decide("old", "expired", NOW, reason="late again")
    assert feed.decide("old", "taken", NOW, orders=("tm-x-1",))
    assert not feed.decide("old", "skipped", NOW)
    found = Signal.from_mongo(prepared.signals.find_one({"_id": "old"}) or {})
    assert (found.verdict, found.orders) == ("taken", ["tm-x-1"])


def test_the_feed_tells_what_is_written_and_goes_on_where_it_was(prepared: Db) -> None:
    feed = SignalFeed(prepared, "sim")
    following = feed.follow(wait_ms=50)
    assert next(following)[0] is None
    prepared.signals.insert_one(signal("open", confirmed=False).to_mongo())
    prepared.signals.insert_one(signal("elsewhere", exchange="binance-um").to_mongo())
    prepared.signals.insert_one(signal("one").to_mongo())
    found, token = next_signal(following)
    assert found.id == "one"
    feed.remember(token, NOW)
    following.close()

    prepared.signals.insert_one(signal("two").to_mongo())
    prepared.signals.update_one({"_id": "open"}, {"$set": {"confirmed": True}})
    again = feed.follow(wait_ms=50)
    assert [next_signal(again)[0].id for _ in range(2)] == ["two", "open"]
    again.close()


def test_the_feed_tells_of_exits_that_were_found_late_and_of_no_other_signal_without_hope(prepared: Db) -> None:
    feed = SignalFeed(prepared, "sim")
    following = feed.follow(wait_ms=50)
    assert next(following)[0] is None
    late = {"verdict": "expired", "kind": "exit"}
    for name, said in {
        "entry": {"verdict": "expired"},
        "from history": late | {"source": "history"},
        "decided": late | {"decided_at": NOW},
        "late": late,
    }.items():
        prepared.signals.insert_one(signal(name, **said).to_mongo())
    assert next_signal(following)[0].id == "late"
    following.close()


def test_what_was_said_last_of_a_position(prepared: Db) -> None:
    feed = SignalFeed(prepared, "sim")

    def newest(side: Side = "long", interval: str | None = "1h", *, trial: bool = False) -> str | None:
        found = feed.newest_word("BTCUSDT", "s", interval, side, trial=trial)
        return found and found.id

    assert newest() is None
    for minute, (name, said) in enumerate(
        {
            "entry": {},
            "exit": {"kind": "exit"},
            "exit short": {"kind": "exit", "side": "short"},
            "add short": {"kind": "add", "side": "short"},
            "open": {"confirmed": False},
            "other strategy": {"strategy": "macd"},
            "other interval": {"interval": "15m"},
            "other symbol": {"symbol": "ETHUSDT"},
            "other exchange": {"exchange": "binance-um"},
        }.items()
    ):
        prepared.signals.insert_one(signal(name, at=NOW + timedelta(minutes=minute), **said).to_mongo())
    assert (newest(), newest(interval="15m"), newest(interval=None)) == ("exit", "other interval", "other interval")
    prepared.signals.insert_one(signal("trial", kind="trial", side="short", at=NOW + timedelta(hours=1)).to_mongo())
    assert (newest(), newest(trial=True)) == ("exit", "trial")
    prepared.signals.insert_one(signal("turned", side="short", at=NOW + timedelta(hours=2)).to_mongo())
    assert (newest(), newest(trial=True)) == ("turned", "turned")


def test_of_what_was_said_at_once_the_last_by_its_id_counts(prepared: Db) -> None:
    for name in ("b", "c", "a"):
        prepared.signals.insert_one(signal(name, kind="exit").to_mongo())
    found = SignalFeed(prepared, "sim").newest_word("BTCUSDT", "s", "1h", "long", trial=False)
    assert found is not None
    assert found.id == "c"


def test_what_was_said_last_costs_no_look_at_what_was_said_before(prepared: Db) -> None:
    minutes = range(1_000)
    prepared.signals.insert_many([signal(f"{one}", at=NOW + timedelta(minutes=one)).to_mongo() for one in minutes])
    prepared.command("profile", 2)
    found = SignalFeed(prepared, "sim").newest_word("BTCUSDT", "s", "1h", "long", trial=False)
    prepared.command("profile", 0)
    assert found is not None
    assert found.id == "999"
    looked_up = list(prepared["system.profile"].find({"ns": f"{prepared.name}.signals"}))
    assert sum(one["docsExamined"] for one in looked_up) <= 2


def test_what_was_said_is_taken_back_by_its_own_strategy_at_its_own_interval(prepared: Db) -> None:
    feed = SignalFeed(prepared, "sim")
    leave = signal("leave", kind="exit")
    later = NOW + timedelta(minutes=1)
    for name, said in {
        "again": {"kind": "exit"},
        "the other way": {"side": "short"},
        "other interval": {"interval": "15m"},
        "other strategy": {"strategy": "macd"},
        "open": {"confirmed": False},
    }.items():
        prepared.signals.insert_one(signal(name, at=later, **said).to_mongo())
    assert not feed.spoken_for_since(leave, "long")
    prepared.signals.insert_one(signal("before", kind="add", at=NOW - timedelta(minutes=1)).to_mongo())
    assert not feed.spoken_for_since(leave, "long")
    prepared.signals.insert_one(signal("add", kind="add", at=later).to_mongo())
    assert feed.spoken_for_since(leave, "long")


def test_a_place_that_is_forgotten_by_the_server_is_given_up(prepared: Db) -> None:
    feed = SignalFeed(prepared, "sim")
    old = {"_data": "8263A1B2C3000000012B0229296E04"}  # a moment before this server's history began
    feed.remember(old, NOW)
    following = feed.follow(wait_ms=50)
    assert next(following)[0] is None
    prepared.signals.insert_one(signal("one").to_mongo())
    assert next_signal(following)[0].id == "one"
    following.close()


def next_signal(following: Any) -> Any:
    for _ in range(200):
        found, token = next(following)
        if found is not None:
            return found, token
    raise AssertionError("nothing came")

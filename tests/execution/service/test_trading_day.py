"""The executor on a real database and a real exchange: what it does on a quiet day."""

import asyncio
import re
from decimal import Decimal
from typing import Any

import pytest

from pipeline.errors import AttentionError
from pipeline.exchange.market import MarketData
from pipeline.exchange.trading import NewOrder
from pipeline.execution.engine.events import GoalSeen, StreamBack
from pipeline.execution.engine.state import Margin
from pipeline.settings import Risk
from pipeline.store.control import ControlStore
from pipeline.store.symbols import SymbolStore
from pipeline.timeline import to_datetime
from schemas.accounts import Snapshot
from tests.by_hand import set_hedge_mode


async def protected(house: Any, quantity: Decimal | None = None, above: Decimal = Decimal(0)) -> Any:
    """Wait until that much, or anything, is held under one stop, placed above that price, and the journal says so: an
    order that is sent is filled a moment later."""

    def so() -> Any:
        found = house.position()
        held = house.held() if quantity is None else quantity
        calm = found is not None and found.quantity == held != 0 and found.stop_order and not found.unprotected_since
        stops = house.stops()
        if not calm or len(stops) != 1 or not stops[0].close_position or found.stop_price != stops[0].trigger_price:
            return None
        moved = found.stop_price > above
        return found if moved and stops[0].client_algo_id == found.stop_order else None

    return await house.until(so)


async def quiet(house: Any) -> None:
    await house.until(lambda: not house.db.orders.count_documents({"state": {"$in": ["intended", "sent", "unknown"]}}))


async def test_trial_entry_and_add_and_the_stop_moves_with_each(house: Any) -> None:
    async with house.executor() as executor:
        trial = await house.verdict(house.say("trial"))
        price = Decimal(str(trial.price))
        assert trial.verdict == "taken"
        held = await protected(house, trial.decision.quantity)
        unit = held.unit_quantity
        assert abs(held.quantity / unit - Decimal("0.5")) < Decimal("0.05")
        assert (held.stop_price < price, held.strategy, held.signal) == (True, "turtle", trial.id)

        calmer = {"atr": float(held.atr * Decimal("0.8"))}
        entry = await house.verdict(house.say("entry", price=float(price * Decimal("1.002")), indicators=calmer))
        assert entry.verdict == "taken"
        topped = await protected(house, held.quantity + entry.decision.quantity, held.stop_price)
        assert abs(topped.quantity / unit - 2) < Decimal("0.1")

        early = await house.verdict(house.say("add", price=float(price * Decimal("1.003"))))
        assert early.verdict == "skipped"
        assert "in favour" in early.reason
        add = await house.verdict(house.say("add", price=float(price * Decimal("1.02"))))
        assert add.verdict == "taken"
        added = await protected(house, topped.quantity + add.decision.quantity)
        assert added.stop_price >= topped.stop_price, "a stop never loosens"
        assert abs(added.quantity / unit - 3) < Decimal("0.15")

        leave = await house.verdict(house.say("exit"))
        assert leave.verdict == "taken"
        await house.until(lambda: house.held() == 0 and house.stops() == [])
        await quiet(house)
        await house.until(lambda: (found := house.position()) is not None and found.quantity == 0)
        await house.check()
        entries = [one for one in house.orders() if one.leg in {"trial", "entry", "add", "exit"}]
        assert [one.leg for one in entries] == ["trial", "entry", "add", "exit"]
        assert [one.orders for one in map(house.signal, (trial.id, entry.id, add.id, leave.id))] == [
            [one.id] for one in entries
        ]
        await house.until(lambda: all(one.fee for one in house.orders() if one.filled))
        assert house.orders(leg="exit")[0].realized != 0
        figures = executor.figures()
        assert figures["acts"] == 1
        assert figures["sends"] == 1
        assert figures["comparisons"] >= 1
        assert figures["naked_seconds"] == 0
        assert executor.calls()["POST /fapi/v1/order"]["answered"] == 4
        assert 0 < figures["api_p50"] <= figures["api_p99"]
        assert 0 < figures["weight_most"] < 1


async def test_a_trial_the_other_way_turns_a_trial_and_another_interval_leaves_it_alone(house: Any) -> None:
    async with house.executor():
        first = await house.verdict(house.say("trial"))
        held = await protected(house, first.decision.quantity)
        assert (held.trial, held.interval) == (True, first.interval)
        stranger = await house.verdict(house.say("entry", side="short", interval="4h"))
        assert (stranger.verdict, stranger.reason) == ("skipped", f"held by turtle {first.interval}")
        second = await house.verdict(house.say("trial", side="short"))
        turned = await protected(house, -second.decision.quantity)
        assert (turned.side, turned.trial, turned.signal) == ("short", True, second.id)
        assert turned.stop_price > Decimal(str(second.price))
        await quiet(house)
        await house.check()
        legs = [(one.leg, one.id) for one in house.orders() if one.signal == second.id and one.leg in {"exit", "trial"}]
        assert [leg for leg, _ in legs] == ["exit", "trial"]
        assert second.orders == [name for _, name in legs]


async def test_what_a_symbol_brought_today_is_known_with_the_next_comparison(house: Any) -> None:
    async with house.executor() as executor:
        await house.verdict(house.say("trial"))
        await protected(house)
        await house.verdict(house.say("exit"))
        await house.until(lambda: {one.leg for one in house.orders() if one.filled and one.fee} == {"trial", "exit"})
        executor.term.tell(StreamBack())
        brought = sum(one.realized - one.fee for one in house.orders() if one.filled)
        assert brought < 0
        await house.until(lambda: executor.term.core._worth.of("USDT").result("BTCUSDT") == brought)


async def test_a_goal_is_taken_up_while_it_runs_and_left_again(house: Any) -> None:
    control, now = ControlStore(house.db, "sim"), to_datetime(house.simulator.now())
    async with house.executor() as executor:
        control.set_goal({"daily_profit_percent": Decimal(3), "when_reached": "close"}, by="ann", now=now)
        await house.until(lambda: executor.term.core._memory.goal == GoalSeen(Decimal(3), "close"))
        control.set_goal({"daily_profit_percent": None}, by="ann", now=now)
        await house.until(lambda: executor.term.core._memory.goal == GoalSeen(None, "close"))


async def test_its_log_tells_the_day(house: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", logger="pipeline.execution")
    async with house.executor():
        name = house.say("entry")
        assert (await house.verdict(name)).verdict == "taken"
        await house.until(lambda: house.held() and house.stops() and (house.position() or house).stop_order)
        await house.verdict(house.say("exit", "long"))
        await house.until(lambda: any(one.message.startswith("closed ") for one in caplog.records))
        ControlStore(house.db, "sim").set_mode(
            "signal-only", by="ann", now=to_datetime(house.simulator.now()), reason=None
        )
        await house.until(lambda: any(one.message.startswith("mode ") for one in caplog.records))
    said = [one.message for one in caplog.records]
    price = r"([\d.]+|a price not known yet)"  # the stream may tell of the position before it tells of the order
    wanted = [
        r"acting as executor of sim, term \d+",
        r"ready: sim, auto-execute; nothing is held; equity 10000\.00",
        r"signal BTCUSDT long entry @ [\d.]+ by turtle 1h",
        r"entry BTCUSDT buy [\d.]+ at the market, by turtle 1h",
        rf"filled BTCUSDT buy [\d.]+ @ {price}",
        r"opened BTCUSDT long [\d.]+ @ [\d.]+, stop [\d.]+, by turtle 1h",
        r"stop placed BTCUSDT @ [\d.]+",
        r"signal BTCUSDT long exit @ [\d.]+ by turtle 1h",
        rf"filled BTCUSDT sell [\d.]+ @ {price}",
        r"closed BTCUSDT long [\d.]+ @ [\d.]+, [+-][\d.]+ before fees, by turtle 1h, long exit",
        r"mode signal-only: orders are only worked out",
        r"the executor of sim ends; what is held keeps its stop",
    ]
    assert [sum(bool(re.fullmatch(one, line)) for line in said) for one in wanted] == [1] * len(wanted), said


async def test_signal_only_sizes_and_writes_the_decision_and_sends_nothing(house: Any) -> None:
    house.trading.set_leverage("BTCUSDT", Risk().leverage)
    async with house.executor(mode="signal-only"):
        found = await house.verdict(house.say("entry"))
        assert (found.verdict, found.reason) == ("would-take", "signal-only: nothing is sent")
        assert found.decision.mode == "signal-only"
        assert found.decision.quantity > 0
        assert found.decision.stop_price < Decimal(str(found.price))
        assert found.decision.equity == Decimal(10_000)
    assert house.accepted() == house.orders() == []


async def test_the_mode_changes_while_it_runs(house: Any) -> None:
    control, now = ControlStore(house.db, "sim"), to_datetime(house.simulator.now())
    async with house.executor(mode="signal-only") as executor:
        control.set_mode("auto-execute", by="ann", now=now)
        await house.until(
            lambda: executor.term.core._memory.market("BTCUSDT").margin == Margin(Risk().leverage, "isolated")
        )
        found = await house.verdict(house.say("trial"))
        assert found.verdict == "taken"
        await protected(house, found.decision.quantity)
        control.set_mode("signal-only", by="ann", now=now)
        await house.until(lambda: executor.term.core.mode == "signal-only")
        later = await house.verdict(house.say("entry"))
        assert later.verdict == "would-take"
        assert len(house.stops()) == 1, "what is held keeps its stop in either mode"


async def test_the_leverage_of_somebodys_own_position_is_not_touched(house: Any) -> None:
    house.trading.set_leverage("BTCUSDT", 7)
    house.trading.place_order(NewOrder(symbol="BTCUSDT", side="BUY", client_id="mine", quantity=Decimal("0.01")))
    async with house.executor():
        found = await house.verdict(house.say("trial"))
        assert (found.verdict, "somebody else holds" in found.reason) == ("skipped", True)
    assert house.trading.symbol_config("BTCUSDT").leverage == 7
    assert [one["params"].get("leverage") for one in house.ledger("attempts") if one["path"].endswith("leverage")] == [
        "7"
    ]


@pytest.mark.parametrize(
    "late",
    [
        {"age": 130},
        {"verdict": "expired", "reason": "found 130 s after its candle closed", "age": 130},
        {"verdict": "expired", "source": "history", "fresh_until": None, "age": 130},
    ],
    ids=["seen late", "found late", "found in the history"],
)
@pytest.mark.parametrize("away", [False, True], ids=["it acts", "it was away"])
async def test_an_exit_that_came_late_closes_what_is_held(house: Any, late: Any, away: bool) -> None:
    async with house.executor() as executor:
        await house.verdict(house.say("trial", age=200, fresh_until=to_datetime(house.simulator.now() + 60_000)))
        await protected(house)
        if not away:
            name = house.say("exit", **late)
            executor.term.tell(StreamBack())
            await house.until(lambda: house.signal(name).verdict == "taken")
    if away:
        name = house.say("exit", **late)
    async with house.executor():
        await house.until(lambda: house.signal(name).verdict == "taken" and house.held() == 0 and not house.stops())
        await house.check()


@pytest.mark.parametrize(
    ("by", "level", "words"),
    [
        ("liquidation", "error", "liquidated by the exchange"),
        ("adl", "warning", "auto-deleveraging"),
        ("settlement", "warning", "the contract has ended"),
        ("hand", "warning", "by no order of ours"),
        ("exit", "info", "signal "),
    ],
)
async def test_a_position_that_is_closed_is_said_to_be_closed_by_what_closed_it(
    house: Any, by: str, level: str, words: str
) -> None:
    async with house.executor():
        await house.verdict(house.say("trial"))
        await protected(house)
        if by == "exit":
            house.say("exit")
        elif by == "hand":
            order = NewOrder(symbol="BTCUSDT", side="SELL", client_id="mine", quantity=house.held(), reduce_only=True)
            house.trading.place_order(order)
        else:
            assert house.simulator.close_position(house.account.name, "BTCUSDT", by) == 1
        (note,) = await house.until(lambda: [one for one in house.notes if one.title == "BTCUSDT is closed"])
        assert (note.level, words in note.text) == (level, True), note
        assert house.stops() == []
        await house.check()


async def test_a_late_exit_that_its_strategy_took_back_closes_nothing(house: Any) -> None:
    async with house.executor():
        await house.verdict(house.say("trial", age=200, fresh_until=to_datetime(house.simulator.now() + 60_000)))
        await protected(house)
    exit_, add = house.say("exit", age=150), house.say("add", age=140)
    async with house.executor():
        assert [(await house.verdict(name)).verdict for name in (exit_, add)] == ["expired", "expired"]
        assert house.held() > 0


@pytest.mark.parametrize(
    ("fields", "verdict", "reason"),
    [
        ({"age": 300.0}, "expired", "stopped being fresh"),
        ({"fresh_until": None}, "expired", "from history"),
        ({"kind": "exit"}, "skipped", "no position to close"),
        ({"indicators": {}}, "skipped", "no ATR"),
        ({"symbol": "NOSUCHUSDT"}, "skipped", "does not trade"),
        ({"symbol": "ETHUSDT", "kind": "add"}, "skipped", "no position to add to"),
    ],
)
async def test_what_is_not_done_says_why(house: Any, fields: Any, verdict: str, reason: str) -> None:
    async with house.executor():
        found = await house.verdict(house.say(**fields))
        assert found.verdict == verdict
        assert reason in found.reason
    assert house.accepted() == []


async def test_what_was_written_before_the_start_is_found_and_decided_once(house: Any) -> None:
    fresh, old = house.say("trial"), house.say("trial", age=600)
    async with house.executor():
        assert (await house.verdict(fresh)).verdict == "taken"
        assert (await house.verdict(old)).verdict == "expired"
        decided = house.signal(fresh)
    house.db.signals.update_one({"_id": fresh}, {"$set": {"verdict": "fresh"}})
    async with house.executor():
        assert (await house.verdict(fresh)).orders == decided.orders
        await quiet(house)
        await house.check()
    assert len([one for one in house.accepted() if one["type"] == "MARKET"]) == 1


async def test_an_unconfirmed_signal_is_not_looked_at_until_it_is(house: Any) -> None:
    async with house.executor():
        name = house.say("trial", confirmed=False)
        other = await house.verdict(house.say("exit"))
        assert other.verdict == "skipped"
        assert house.signal(name).verdict == "fresh"
        house.db.signals.update_one({"_id": name}, {"$set": {"confirmed": True}})
        assert (await house.verdict(name)).verdict == "taken"


async def test_the_account_is_written_down(house: Any) -> None:
    async with house.executor():
        found = await house.verdict(house.say("trial"))
        await protected(house, found.decision.quantity)
    async with house.executor():
        await house.until(lambda: house.db.accounts.find_one({"open_positions": 1}))
    last = Snapshot.from_mongo(house.db.accounts.find_one(sort=[("at", -1)]))
    account = house.trading.account()
    assert last.wallet == account.wallets[0].balance
    assert abs(last.equity - last.wallet - last.unrealized) <= Decimal("0.00000001")  # each is rounded by itself
    assert last.fees_today == account.wallets[0].balance - 10_000
    assert last.day_return_pct == pytest.approx(float((last.equity - 10_000) / 100), abs=1e-6)
    assert last.month_return_pct == pytest.approx(last.day_return_pct)
    held = house.position()
    assert held.mark_price > 0


async def test_hedge_mode_is_a_matter_for_a_person(house: Any) -> None:
    set_hedge_mode(house.trading)
    with pytest.raises(Exception, match="hedge mode") as told:
        async with house.executor():
            pass
    assert told.value.exit_code == 3


async def test_a_loss_stops_the_day_at_once_and_not_with_the_next_comparison(house: Any) -> None:
    async with house.executor(risk=Risk(daily_loss_percent=Decimal("0.001"))) as executor:
        await house.until(lambda: executor.figures()["comparisons"] == 2)  # at the start, and with the stream
        assert (await house.verdict(house.say("trial"))).verdict == "taken"  # its fee is more than that
        await house.until(lambda: house.db.control.find_one({"name": "daily-loss", "tripped": True}))
        assert executor.figures()["comparisons"] == 2


async def test_the_margin_type_is_set_where_nothing_is_held_and_a_stop_beyond_liquidation_is_refused(
    house: Any,
) -> None:
    assert house.trading.symbol_config("BTCUSDT").margin_type == "CROSSED"
    async with house.executor(risk=Risk(leverage=100)):
        price = house.price()
        atr = {"atr": float(price * Decimal("0.003944"))}  # at 100x the margin is 1 %, and 0.4 % of it must be kept
        found = await house.verdict(house.say("entry", indicators=atr))
        assert found.verdict == "skipped"
        assert "beyond the liquidation price" in found.reason
        near = await house.verdict(house.say("entry", indicators={"atr": float(price * Decimal("0.002"))}))
        assert near.verdict == "taken"
        await protected(house, near.decision.quantity)
        (held,) = house.trading.positions("BTCUSDT")
        assert held.liquidation_price < house.position().stop_price
    assert house.trading.symbol_config("BTCUSDT").margin_type == "ISOLATED"


async def test_what_the_account_pays_is_asked_once_a_symbol(house: Any) -> None:
    async with house.executor(symbols={"BTCUSDT", "ETHUSDT"}, pace_fees=0.1) as executor:
        markets = executor.term.core._memory.markets
        await house.until(lambda: [markets[one].taker_fee for one in sorted(markets)] == [Decimal("0.0005")] * 2)
        await asyncio.sleep(1)
        assert executor.calls()["GET /fapi/v1/commissionRate"]["answered"] == 2


async def test_what_the_account_pays_is_kept_and_the_next_term_sizes_by_it_before_it_has_asked(house: Any) -> None:
    listed = [one for one in MarketData(house.trading.client).symbols() if one.symbol in {"BTCUSDT", "ETHUSDT"}]
    store = SymbolStore(house.db)
    store.save([one.model_copy(update={"id": f"sim:{one.symbol}", "exchange": "sim"}) for one in listed])
    async with house.executor(symbols={"BTCUSDT", "ETHUSDT"}, pace_fees=0.1):
        await house.until(lambda: store.taker_fees("sim") == dict.fromkeys(["BTCUSDT", "ETHUSDT"], Decimal("0.0005")))
    store.note_fee("sim", "BTCUSDT", Decimal("0.00031"))
    house.simulator.faults.add("maintenance", method="GET", path="/fapi/v1/commissionRate")
    async with house.executor() as executor:
        assert executor.term.core._memory.market("BTCUSDT").taker_fee == Decimal("0.00031")


async def test_a_stage_that_no_chosen_symbol_can_be_traded_in_is_refused_at_the_start(house: Any) -> None:
    with pytest.raises(AttentionError, match=r"no chosen symbol can be traded in stage 1.* BTCUSDT: too small"):
        async with house.executor(production=True):
            pass
    now = to_datetime(house.simulator.now())
    ControlStore(house.db, "sim").set_trading("BTCUSDT", {"enabled": True}, by="ann", now=now)
    async with house.executor(production=True, mode="signal-only"):
        assert "production stage 1" in (await house.verdict(house.say("entry"))).reason

"""What became of one signal, asked of pipeline/app: its decision, its orders, its position."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from pymongo.database import Database

from pipeline.app.opened import Opened
from pipeline.app.signals import life
from pipeline.errors import UsageError
from pipeline.settings import Settings
from pipeline.store.account import PositionStore
from pipeline.store.orders import OrderJournal
from schemas.positions import Position
from schemas.signals import Decision
from tests.store.test_execution_stores import NOW, order, signal


def test_the_life_of_a_signal_is_its_decision_its_orders_and_its_position(
    db: Database[Any], mongo_uri: str, home: Path
) -> None:
    with Opened(Settings(home=home, mongo_uri=SecretStr(mongo_uri), database=db.name, environment="sim")) as tm:
        decided = Decision(
            mode="auto-execute", at=NOW, units=Decimal(1), quantity=Decimal(1), notional=Decimal(100),
            equity=Decimal(1000), leverage=5,
        )  # fmt: skip
        taken, idle = signal(verdict="taken", decision=decided), signal("idle")
        tm.db["signals"].insert_many([taken.to_mongo(), idle.to_mongo()])
        journal = OrderJournal(tm.db, "sim")
        stop, entry, foreign = order("tm-s-1", minute=1, leg="stop"), order(), order("tm-e-2", signal="idle-not")
        for one in (stop, entry, foreign):
            journal.intend(one)
        held = Position(
            id="sim:BTCUSDT:BOTH", environment="sim", symbol="BTCUSDT", quantity=Decimal("0.5"),
            entry_price=Decimal(100), ours=True, signal="sig", updated_at=NOW,
        )  # fmt: skip
        positions = PositionStore(tm.db, "sim")
        positions.save([held])

        found = life(tm, "sig")
        assert (found.signal.id, found.decision) == ("sig", decided)
        assert [one.id for one in found.orders] == ["tm-e-1", "tm-s-1"]
        assert found.position is not None
        assert found.position.id == held.id

        positions.save([held.model_copy(update={"quantity": Decimal(0)})])
        assert life(tm, "sig").position is None
        nothing = life(tm, "idle")
        assert (nothing.decision, nothing.orders, nothing.position) == (None, [], None)
        with pytest.raises(UsageError, match="no signal 'gone' is stored"):
            life(tm, "gone")

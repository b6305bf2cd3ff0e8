"""A cap on what moves alike, where the executor runs: what was measured comes from the database."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from pipeline.execution.engine.events import AlikeSeen
from pipeline.settings import Portfolio
from pipeline.store.likeness import LikenessStore
from schemas.likeness import Likeness

CAPPED = Portfolio(group_percent=Decimal(500))


async def test_what_is_not_measured_is_not_opened_and_a_term_knows_what_was_measured_before_it(house: Any) -> None:
    async with house.executor(portfolio=CAPPED):
        unknown = await house.verdict(house.say("entry"))
        assert unknown.verdict == "skipped"
        assert unknown.reason == f"what moves like {house.symbol} is not known, and [portfolio] group_percent caps it"
    measured = Likeness(
        id=f"sim:{house.symbol}",
        exchange="sim",
        symbol=house.symbol,
        at=datetime.now(UTC),
        correlations={house.other: 0.93, "OTHERUSDT": 0.79},
    )
    store = LikenessStore(house.db, "sim")
    store.save([measured], datetime.now(UTC))
    async with house.executor(portfolio=CAPPED) as executor:
        assert executor.term.core._memory.alike == {house.symbol: {house.other}}
        assert executor.term._alike() == [], "it is read again where it was measured otherwise"
        store.save([measured.model_copy(update={"correlations": {}})], datetime.now(UTC))
        assert executor.term._alike() == [AlikeSeen({house.symbol: frozenset()})]
        assert (await house.verdict(house.say("entry"))).verdict == "taken"

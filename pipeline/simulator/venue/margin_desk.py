"""The endpoints that move margin into an isolated position and out of it, and tell what was moved."""

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum

from pipeline.simulator.venue import formats, ledger
from pipeline.simulator.venue.account import Account, MarginMove
from pipeline.simulator.venue.engine import Engine
from pipeline.simulator.venue.history import page
from pipeline.simulator.venue.intake import find_spec, read_position_side
from pipeline.simulator.venue.orders import ZERO
from pipeline.simulator.venue.params import Params
from pipeline.simulator.venue.payloads import Payload
from pipeline.simulator.venue.positions import Position
from pipeline.simulator.venue.refusals import refuse


class Direction(StrEnum):
    ADD = "1"
    REDUCE = "2"


@dataclass(frozen=True, slots=True)
class MarginDesk:
    """Answers about the margin of isolated positions."""

    engine: Engine

    def move(self, account: Account, params: Params, now: int) -> Payload:
        """POST positionMargin"""
        spec = find_spec(self.engine, params, now)
        position = account.position(spec.symbol, read_position_side(account, params))
        amount = params.need_number("amount")
        direction = params.need_word("type", Direction, -1130)
        if amount <= 0:
            raise refuse(-4055)
        if spec.symbol not in account.isolated or not position.quantity:
            raise refuse(-4054)
        change = amount if direction is Direction.ADD else -amount
        self._check(account, position, change, now)
        position.isolated_wallet += change
        position.updated = now
        move = MarginMove(spec.symbol, position.side, change, spec.worth.asset, now)
        account.margin_moves.append(move)
        self.engine.ledger.append(
            ledger.MarginMoved(now, account.name, spec.symbol, position.side, change, spec.worth.asset)
        )
        self.engine.tell(account, "MARGIN_TRANSFER", now, [position], asset=spec.worth.asset)
        return {
            "amount": float(amount),
            "code": 200,
            "msg": "Successfully modify position margin.",
            "type": int(direction),
        }

    def moves(self, account: Account, params: Params, now: int) -> list[Payload]:
        """GET positionMargin/history"""
        symbol = find_spec(self.engine, params, now).symbol
        wanted = params.word("type", Direction, -1130)
        rows = [
            move
            for move in account.margin_moves
            if move.symbol == symbol and wanted in {None, Direction.ADD if move.amount > 0 else Direction.REDUCE}
        ]
        found = page(rows, params, now, number=lambda m: m.time, time=lambda m: m.time, first=None, default=100)
        return [
            {
                "symbol": move.symbol,
                "type": int(Direction.ADD if move.amount > 0 else Direction.REDUCE),
                "deltaType": "USER_ADJUST",
                "amount": formats.money(abs(move.amount)),
                "asset": move.asset,
                "time": move.time,
                "positionSide": move.side,
                "clientTranId": "",
            }
            for move in found
        ]

    def _check(self, account: Account, position: Position, change: Decimal, now: int) -> None:
        """What is added must be free; what stays must be the initial margin, a loss taken off."""
        mark = self.engine.marks(now)
        if change > account.available(mark, position.worth.asset):
            raise refuse(-4050)
        loss = min(ZERO, position.unrealised(mark(position.symbol)))
        if change < 0 and position.isolated_wallet + loss + change < account.position_margin(position, mark):
            raise refuse(-4051)

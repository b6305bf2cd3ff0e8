"""The switches: mode, halt, breakers, per-symbol trading settings, allocation, slippage, stage; and which installation
this database is. Every change says who made it and why.

It stores what is to be done; acting on it is the executor's.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, Final, TypeGuard

from pymongo import ReturnDocument
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from pipeline.errors import AttentionError
from pipeline.store.orders import to_bson
from schemas.control import (
    CONTROL,
    Allocation,
    AllocationRule,
    Breaker,
    Change,
    Goal,
    Halt,
    Installation,
    ModeSwitch,
    Slippage,
    SlippageFit,
    Stage,
    Trading,
)
from schemas.shared import Mode

_KINDS: Final = ("mode", "halt", "breaker", "trading", "goal", "allocation", "slippage", "stage", "installation")


class RevisionError(AttentionError):
    """Somebody else has changed it since whoever asks has read it: nothing was changed."""

    def __init__(self, identity: str) -> None:
        super().__init__(f"{identity} was changed by somebody else meanwhile: look at it again. Nothing was changed")


@dataclass(frozen=True, slots=True)
class Controls:
    """Everything that is switched in one environment; None where nobody has switched it yet."""

    mode: ModeSwitch | None = None
    halt: Halt | None = None
    goal: Goal | None = None
    allocation: Allocation | None = None
    slippage: Slippage | None = None
    stage: Stage | None = None
    installation: Installation | None = None
    breakers: Mapping[str, Breaker] = field(default_factory=dict)
    trading: Mapping[str, Trading] = field(default_factory=dict)


class ControlStore:
    """The switches of one environment."""

    def __init__(self, database: Database[dict[str, Any]], environment: str) -> None:
        self._control = database[CONTROL.name]
        self._environment = environment

    def read(self) -> Controls:
        """All of them, as of one moment."""
        found = self._control.find({"environment": self._environment, "kind": {"$in": list(_KINDS)}})
        models = [CONTROL.parse(one) for one in found]
        return Controls(
            mode=next((one for one in models if isinstance(one, ModeSwitch)), None),
            halt=next((one for one in models if isinstance(one, Halt)), None),
            goal=next((one for one in models if isinstance(one, Goal)), None),
            allocation=next((one for one in models if isinstance(one, Allocation)), None),
            slippage=next((one for one in models if isinstance(one, Slippage)), None),
            stage=next((one for one in models if isinstance(one, Stage)), None),
            installation=next((one for one in models if self._is_this_database(one)), None),
            breakers={one.name: one for one in models if isinstance(one, Breaker)},
            trading={one.symbol: one for one in models if isinstance(one, Trading)},
        )

    def set_mode(self, mode: Mode, *, by: str, now: datetime, reason: str | None = None) -> None:
        """Switch it."""
        before = self.read().mode
        change = Change(at=now, by=by, old=before.mode if before else None, new=mode, reason=reason)
        self._switch("mode", f"mode:{self._environment}", {"mode": mode}, change)

    def set_halt(self, halted: bool, *, flatten: bool, by: str, now: datetime, reason: str | None = None) -> None:
        """Halt, halt and close everything, or go on."""
        before = self.read().halt
        old = None if before is None else _halt_word(before.halted, before.flatten)
        change = Change(at=now, by=by, old=old, new=_halt_word(halted, flatten), reason=reason)
        self._switch("halt", f"halt:{self._environment}", {"halted": halted, "flatten": flatten}, change)

    def set_trading(
        self,
        symbol: str,
        changes: Mapping[str, Any],
        *,
        by: str,
        now: datetime,
        reason: str | None = None,
        revision: int | None = None,
    ) -> None:
        """Change a symbol's own settings; what is not named stays. `revision`: how many changes whoever asks has seen;
        refused with `RevisionError` where there are others by now."""
        before = self.read().trading.get(symbol)
        new = ", ".join(f"{name}={value}" for name, value in changes.items())
        old = ", ".join(f"{name}={getattr(before, name)}" for name in changes) if before else None
        change = Change(at=now, by=by, old=old, new=new, reason=reason)
        fields = {"symbol": symbol} | to_bson(changes)
        self._switch("trading", f"trading:{self._environment}:{symbol}", fields, change, revision)

    def close_done(self, symbol: str, asked: datetime) -> None:
        """What was asked at that moment to be closed is. It was perhaps asked again since: that stays."""
        known = {"_id": f"trading:{self._environment}:{symbol}", "close_asked": asked}
        self._control.update_one(known, {"$set": {"close_asked": None}})

    def set_goal(self, changes: Mapping[str, Any], *, by: str, now: datetime, reason: str | None = None) -> None:
        """Change the account's profit target for the day; what is not named stays."""
        before = self.read().goal
        new = ", ".join(f"{name}={value}" for name, value in changes.items())
        old = ", ".join(f"{name}={getattr(before, name)}" for name in changes) if before else None
        change = Change(at=now, by=by, old=old, new=new, reason=reason)
        self._switch("goal", f"goal:{self._environment}", to_bson(changes), change)

    def allocation(self) -> Allocation | None:
        """That switch alone."""
        found = self._control.find_one({"_id": f"allocation:{self._environment}"})
        return None if found is None else Allocation.from_mongo(found)

    def set_allocation(
        self,
        shares: Mapping[str, Decimal] | None,
        *,
        by: str,
        now: datetime,
        reason: str | None = None,
        rule: AllocationRule | None = None,
        revision: int | None = None,
    ) -> None:
        """Change how much of the equity each strategy goes by; None: all of them by all of it. `rule`: what the shares
        are worked out from. `revision`: as of `set_trading`."""
        before = self.allocation()
        old = None if before is None else _allocated_in_words(before.shares, before.rule)
        change = Change(at=now, by=by, old=old, new=_allocated_in_words(shares, rule), reason=reason)
        fields = to_bson({"shares": None if shares is None else to_bson(shares), "rule": rule})
        self._switch("allocation", f"allocation:{self._environment}", fields, change, revision)

    def set_slippage(self, fit: SlippageFit | None, *, by: str, now: datetime, reason: str | None = None) -> None:
        """Change what a backtest assumes of it; None: as if nobody had fitted it."""
        before = self.read().slippage
        old = None if before is None else _fit_in_words(before.fit)
        change = Change(at=now, by=by, old=old, new=_fit_in_words(fit), reason=reason)
        fields = {"fit": None if fit is None else fit.to_mongo()}
        self._switch("slippage", f"slippage:{self._environment}", fields, change)

    def set_stage(self, stage: int, *, by: str, now: datetime, reason: str | None = None) -> None:
        """Leave a stage for another; clean days are counted anew."""
        before = self.read().stage
        change = Change(at=now, by=by, old=str(before.stage) if before else None, new=str(stage), reason=reason)
        self._switch("stage", f"stage:{self._environment}", {"stage": stage, "clean_days": []}, change)

    def add_clean_day(self, day: str) -> None:
        """A day of trading in this stage on which nothing went wrong."""
        begun = {"kind": "stage", "environment": self._environment, "stage": 1, "changes": []}
        known = {"_id": f"stage:{self._environment}"}
        self._control.update_one(known, {"$addToSet": {"clean_days": day}, "$setOnInsert": begun}, upsert=True)

    def forget_clean_days(self) -> None:
        """Something went wrong: counting begins anew."""
        self._control.update_one({"_id": f"stage:{self._environment}"}, {"$set": {"clean_days": []}})

    def identify(self, name: str) -> Installation:
        """Which installation this database is: that one from now on, where it is none yet or a copy of another."""
        same = {"$eq": ["$database", self._control.database.name]}
        settled = {
            "kind": "installation",
            "environment": self._environment,
            "database": self._control.database.name,
            "name": {"$cond": [same, "$name", name]},
            "copy_of": {"$cond": [same, "$copy_of", {"$ifNull": ["$name", None]}]},
            "taken_over": {"$cond": [same, "$taken_over", []]},
            "changes": {"$cond": [same, "$changes", []]},
        }
        try:
            return self._identified(settled, upsert=True)
        except DuplicateKeyError:  # another was quicker
            return self._identified(settled, upsert=False)

    def take_over(self, installation: str, *, by: str, now: datetime, reason: str | None = None) -> None:
        """The orders and positions of that installation are ours from now on."""
        change = Change(at=now, by=by, old=None, new=f"took over {installation}", reason=reason)
        self._control.update_one(
            {"_id": self._installation_id, "taken_over": {"$ne": installation}},
            {"$push": {"taken_over": installation, "changes": change.to_mongo()}},
        )

    def trip(self, breaker: Breaker) -> None:
        """A limit was passed."""
        self._control.replace_one({"_id": breaker.id}, breaker.to_mongo(), upsert=True)

    def reset(self, name: str, *, now: datetime, reason: str) -> bool:
        """Let a breaker go; False where none of that name was tripped."""
        tripped = {"_id": f"breaker:{self._environment}:{name}", "tripped": True}
        change = {"$set": {"tripped": False, "reason": reason, "at": now}}
        return bool(self._control.update_one(tripped, change).matched_count)

    @property
    def _installation_id(self) -> str:
        return f"installation:{self._environment}"

    def _identified(self, settled: Mapping[str, Any], *, upsert: bool) -> Installation:
        found = self._control.find_one_and_update(
            {"_id": self._installation_id}, [{"$set": settled}], upsert=upsert, return_document=ReturnDocument.AFTER
        )
        return Installation.from_mongo(found or {})

    def _is_this_database(self, one: object) -> TypeGuard[Installation]:
        return isinstance(one, Installation) and one.database == self._control.database.name

    def _switch(
        self, kind: str, identity: str, fields: Mapping[str, Any], change: Change, revision: int | None = None
    ) -> None:
        seen = {"changes": {"$size": revision}} if revision else {}
        update = {
            "$set": {"kind": kind, "environment": self._environment, **fields},
            "$push": {"changes": change.to_mongo()},
        }
        if revision == 0:
            seen = {"changes": {"$exists": False}}
        try:
            self._control.update_one({"_id": identity, **seen}, update, upsert=True)
        except DuplicateKeyError:
            if revision is None:
                raise
            raise RevisionError(identity) from None


def traded_at(database: Database[dict[str, Any]]) -> set[str]:
    """Where an executor of this database has ever begun."""
    ours = {"kind": "installation", "database": database.name}
    return {one["environment"] for one in database[CONTROL.name].find(ours, {"environment": 1})}


def _halt_word(halted: bool, flatten: bool) -> str:
    if not halted:
        return "running"
    return "halted, flatten" if flatten else "halted"


def _allocated_in_words(shares: Mapping[str, Decimal] | None, rule: AllocationRule | None) -> str:
    if shares is None:
        return "all of it each"
    said = ", ".join(f"{name}={share:f}" for name, share in shares.items())
    return said if rule is None or rule.band is None else f"{said}; rebalanced beyond {rule.band:f} points"


def _fit_in_words(fit: SlippageFit | None) -> str:
    if fit is None:
        return "as usual"
    return ", ".join([f"{fit.points:f} bp", *(f"{symbol}={points:f}" for symbol, points in fit.symbols.items())])

"""From a search to trading: the sealed days, opened once; and a trial's way of trading as a symbol's own settings.

A strategy runs with one set of parameters, and those stand in the settings: nothing is written for a symbol before they
are the trial's.
"""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple

from pipeline.app.opened import Opened
from pipeline.app.searched import resumed, trial, trials
from pipeline.app.strategies import space_for
from pipeline.app.trading_settings import set_trading
from pipeline.app.wiring import strategies_of
from pipeline.errors import UsageError
from pipeline.exchange_names import is_production
from pipeline.research.search.space import INTERVAL, TRADED
from pipeline.store.searches import SearchStore
from pipeline.strategies.base import parameters_of
from pipeline.timeline import to_ms
from schemas.searches import Search, Trial

LUCK: Final = "likely luck"
NOT_JUDGED: Final = "not judged"
"""What is said of a trial that is not the best of its search."""


class Adopted(NamedTuple):
    """What was written, for which symbol, and why."""

    symbol: str
    changes: dict[str, Any]
    reason: str


def open_sealed(tm: Opened, name: str, wanted: str | None = None) -> Search:
    """The search with what its sealed days say of a trial, the best where none is named. They open once: whoever comes
    later gets what they said then."""
    store = SearchStore(tm.db, tm.environment)
    found, ranked = trials(tm, name)
    if found.sealed is None:
        raise UsageError(f"search {name!r} has no sealed days: --sealed was 0, or it had too few days")
    if found.sealed.opened_at is None:
        chosen = wanted or next((one.id for one in ranked if one.state == "done"), None)
        if chosen is None or chosen not in {one.id for one in ranked if one.state == "done"}:
            raise UsageError(f"search {name!r} has no trial {chosen!r} with figures; `tidemark trials --search {name}`")
        store.open_seal(name, chosen, datetime.now(UTC))
        found = trials(tm, name)[0]
    sealed = found.sealed
    if sealed is None or sealed.trial is None or (wanted is not None and wanted != sealed.trial):
        opened = "before" if sealed is None else f"on {sealed.opened_at:%Y-%m-%d %H:%M} for trial {sealed.trial}"
        raise UsageError(f"the sealed days of {name!r} were opened {opened}, once: leave --trial out")
    if sealed.figures is None:
        figures = _figures(tm, found, trial(tm, sealed.trial), to_ms(sealed.start), to_ms(sealed.end))
        store.write_sealed(name, sealed.trial, figures)
    return trials(tm, name)[0]


def adopt(tm: Opened, name: str, symbol: str, *, by: str, anyway: bool = False, reason: str | None = None) -> Adopted:
    """Write how the trial traded as the symbol's own settings: its strategy alone, on its candles, its stop, target
    and leverage. In production only what is not likely luck, unless `anyway`."""
    found = trial(tm, name)
    search = trials(tm, found.search)[0]
    if found.state != "done":
        raise UsageError(f"trial {name} {found.state}: {found.reason}; adopt one with figures")
    word = _word(search, found)
    if word in {LUCK, NOT_JUDGED} and is_production(tm.environment) and not anyway:
        raise UsageError(
            f"trial {name} is {word}, and this is real money: it is not adopted. Search on, or say --anyway"
        )
    strategy = _require_parameters(tm, search, found)
    changes = _changes(search, found, strategy)
    said = f"trial {name} of a search of {search.strategy}: {word}{'' if not reason else f'; {reason}'}"
    return Adopted(set_trading(tm, symbol, changes, by=by, reason=said), changes, said)


def _figures(tm: Opened, search: Search, found: Trial, start: int, end: int) -> dict[str, Any]:
    from pipeline.app.stage import set_up  # noqa: PLC0415 - who only adopts a trial tries nothing

    asked = resumed(tm, search.id)
    space = space_for(tm.settings, asked.strategy, asked.parameters, asked.space)
    ready = set_up(
        tm,
        space,
        symbols=asked.symbols,
        interval_code=asked.interval,
        start=start,
        end=end,
        equity=asked.equity,
        through_holes=asked.through_holes,
    )
    return dict(ready.stage.evaluate(found.parameters).figures)


def _word(search: Search, found: Trial) -> str:
    """The verdict is that of the best."""
    result = search.result or {}
    return str(result["verdict"]["word"]) if found.id in result.get("best", [])[:1] else NOT_JUDGED


def _require_parameters(tm: Opened, search: Search, found: Trial) -> str:
    """Refuse unless the strategy runs with what the trial had; its name."""
    asked = resumed(tm, search.id)
    wanted = space_for(tm.settings, asked.strategy, asked.parameters, asked.space).strategy(found.parameters)
    running = next((one for one in strategies_of(tm.settings) if one.name == wanted.name), None)
    lines = [
        f"{key} = {_toml(value)}"
        for key, value in parameters_of(wanted).items()
        if running is None or parameters_of(running).get(key) != value
    ]
    if running is None or lines:
        table = "; ".join([f"[strategy_parameters.{wanted.name}]", *lines])
        also = "" if running is not None else f", and name {wanted.name} in strategies"
        raise UsageError(
            f"{wanted.name} does not run as in trial {found.id}. Write into tidemark.toml: {table}{also}"
            "; then adopt it. They hold for all symbols: a strategy runs with one set"
        )
    unit = found.parameters.get("unit")
    if unit is not None and Decimal(str(unit)) != tm.settings.risk.unit_percent:
        raise UsageError(
            f"trial {found.id} had a unit of {unit:g} %, and the settings have {tm.settings.risk.unit_percent} %. "
            f"Write into tidemark.toml: [risk]; unit_percent = {unit:g}; then adopt it"
        )
    return wanted.name


def _changes(search: Search, found: Trial, strategy: str) -> dict[str, Any]:
    """Those of its settings that a symbol can have of its own."""
    codes = [str(found.parameters[INTERVAL])] if INTERVAL in found.parameters else search.intervals
    changes: dict[str, Any] = {"strategies": [strategy], "intervals": list(codes)}
    for word, value in found.parameters.items():
        if word == "leverage":
            changes["leverage"] = int(value)
        elif word in {"stop", "target"}:
            setting = TRADED[word]
            changes |= {setting: Decimal(str(value)), setting.replace("_atr", "_percent"): None}
    return changes


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)

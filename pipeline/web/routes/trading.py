"""How trading stands, and the orders that a person gives: halt, go on, change a symbol's settings."""

from typing import Final

from fastapi import APIRouter

from pipeline.app import allocation, kill_switch, trading_settings
from pipeline.app.account import Account, accounts
from pipeline.app.portfolio import portfolios
from pipeline.app.trading_now import trading_now
from pipeline.errors import UsageError
from pipeline.exchange_names import is_production
from pipeline.timeline import to_ms
from pipeline.web import answers
from pipeline.web.places import At, Place, by

router = APIRouter(tags=["trading"])

DAYS: Final = 400
_TEXTS: Final = (
    "stop_atr", "stop_percent", "take_profit_atr", "take_profit_percent", "max_position", "daily_profit",
)  # fmt: skip
_MOST_LEVERAGE: Final = 125


class Heard:
    """Keeps what is said while an order is carried out, for whoever gave it."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        """About the answer, not of it."""
        self.said.append(text)

    def complain(self, text: str) -> None:
        """What went wrong."""
        self.said.append(text)


@router.get("/trading")
def trading(at: At) -> answers.TradingNow:
    """Mode, halt, worth, positions and open orders."""
    return answers.TradingNow.model_validate(trading_now(at.tm))


@router.post("/halt")
def halt(at: At, wanted: answers.Halting) -> answers.Ordered:
    """Open nothing any more; stops of what is held stand, unless it is to be closed as well."""
    heard = Heard()
    done = kill_switch.halt(at.tm.settings, flatten=wanted.flatten, by=by(), listener=heard, reason=wanted.reason)
    if not done.halted:
        heard.complain("the halt is not recorded: try again once the database is back")
    return _ordered(at, heard)


@router.post("/resume")
def resume(at: At, wanted: answers.Resuming) -> answers.Ordered:
    """Let signals open positions again. Breakers that were tripped stay tripped."""
    name = at.tm.environment
    if is_production(name) and wanted.name != name:
        raise UsageError(f"this is real money: write {name} to go on")
    kill_switch.resume(at.tm, by=by(), reason=wanted.reason)
    return _ordered(at, Heard())


@router.get("/trading/{symbol}")
def settings_of(at: At, symbol: str) -> answers.SymbolSettings:
    """The symbol's own settings."""
    named, own, traded = trading_settings.of_symbol(at.tm, symbol)
    if own is None:
        return answers.SymbolSettings(symbol=named, revision=0, traded=traded)
    fields = {name: getattr(own, name) for name in answers.SymbolSettings.model_fields if hasattr(own, name)}
    return answers.SymbolSettings.model_validate(
        fields | {"revision": len(own.changes), "traded": traded} | answers.last_change(own.changes)
    )


@router.put("/trading/{symbol}")
def change_settings(at: At, symbol: str, wanted: answers.SettingsChange) -> answers.SymbolSettings:
    """Change some of them. Refused with 409 where somebody else has changed them since they were read."""
    texts = {name: text for name in _TEXTS if (text := getattr(wanted, name)) is not None}
    plain = {"enabled": wanted.enabled, "when_reached": wanted.when_reached}
    changes = trading_settings.changed(at.tm.settings, texts, plain, wanted.strategies or (), wanted.intervals or ())
    if wanted.leverage is not None:
        changes["leverage"] = _leverage(wanted.leverage)
    trading_settings.set_trading(at.tm, symbol, changes, by=by(), reason=wanted.reason, revision=wanted.revision)
    return settings_of(at, symbol)


@router.get("/account")
def account_now(at: At) -> list[answers.AccountNow]:
    """The newest snapshot, and what each day and month brought: of each asset, that in which most is open first."""
    months = {one.latest.asset: one.periods for one in accounts(at.tm, "month") if one.latest is not None}
    return [
        answers.AccountNow.model_validate(
            {"asset": one.latest.asset, "latest": one.latest, "days": one.periods, "months": months[one.latest.asset]}
        )
        for one in sorted(accounts(at.tm, "day", DAYS), key=_open, reverse=True)
        if one.latest is not None and one.latest.asset in months
    ]


@router.get("/portfolio")
def portfolio_now(at: At) -> list[answers.PortfolioNow]:
    """What all positions come to together, and what each cap on that would refuse."""
    return [
        answers.PortfolioNow(
            asset=one.asset,
            at=to_ms(one.at),
            caps=[
                answers.CapNow.model_validate(
                    {
                        "counts": use.cap.called,
                        "setting": use.cap.setting,
                        "now": use.now,
                        "most": use.most,
                        "is_over": use.is_over,
                        "refuses": one.refuses(use),
                    }
                )
                for use in one.uses
            ],
            over=one.over,
            position=at.tm.settings.risk.max_position_percent,
        )
        for one in portfolios(at.tm)
    ]


@router.get("/allocation")
def allocation_now(at: At) -> answers.AllocationNow:
    """How much of the equity each strategy goes by."""
    from pipeline.app.rebalancing import coming  # noqa: PLC0415

    found = allocation.allocation(at.tm)
    follows = coming(at.tm, found)
    return answers.AllocationNow.model_validate(
        {
            "shares": None if found is None else found.shares,
            "rule": allocation.in_words(found),
            "newest": None if follows.to is None else follows.to.wanted.shares,
            "next": follows.words,
            **answers.last_change(None if found is None else found.changes),
        }
    )


def _open(found: Account) -> int:
    return 0 if found.latest is None else found.latest.open_positions


def _ordered(at: Place, heard: Heard) -> answers.Ordered:
    return answers.Ordered(trading=trading(at), said=heard.said)


def _leverage(text: str) -> int | None:
    if text == trading_settings.AS_SETTINGS:
        return None
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= _MOST_LEVERAGE):
        raise UsageError(
            f"leverage must be a whole number from 1 to {_MOST_LEVERAGE}, or '{trading_settings.AS_SETTINGS}', "
            f"not {text!r}"
        )
    return int(text)

"""The endpoints of an account's settings: leverage, margin type, position mode, and what they are now."""
# ruff: noqa: ARG002 - every endpoint is called alike, whether or not it needs the time or the parameters

from dataclasses import dataclass
from enum import StrEnum

from pipeline.simulator.types import UNLISTED, SymbolSpec
from pipeline.simulator.venue import events, formats, ledger, payloads
from pipeline.simulator.venue.account import Account
from pipeline.simulator.venue.brackets import brackets_of, max_leverage, max_notional
from pipeline.simulator.venue.engine import Engine
from pipeline.simulator.venue.intake import find_spec, optional_spec
from pipeline.simulator.venue.orders import ZERO
from pipeline.simulator.venue.params import Params
from pipeline.simulator.venue.payloads import Payload
from pipeline.simulator.venue.refusals import refuse


class MarginType(StrEnum):
    ISOLATED = "ISOLATED"
    CROSSED = "CROSSED"


@dataclass(frozen=True, slots=True)
class AccountDesk:
    """Answers about settings. `largest`: what the largest position at a leverage is called."""

    engine: Engine
    largest: str = "maxNotionalValue"

    def set_leverage(self, account: Account, params: Params, now: int) -> Payload:
        """POST leverage"""
        spec = find_spec(self.engine, params, now)
        params.need("leverage")
        wanted = params.integer("leverage") or 0
        if not 1 <= wanted <= max_leverage(spec):
            raise refuse(-4028, wanted)
        before = account.leverage(spec.symbol)
        held = any(p.quantity for p in account.positions.values() if p.symbol == spec.symbol)
        if held and wanted < before and spec.symbol in account.isolated:
            raise refuse(-4161)
        account.leverages[spec.symbol] = wanted
        if wanted < before and not self._is_affordable(account, spec.worth.asset, now):
            account.leverages[spec.symbol] = before
            raise refuse(-2028)
        if wanted != before:
            self._configured(account, "leverage", spec.symbol, str(wanted), now)
            account.events.append(events.config_update(spec.symbol, wanted, now))
        return {"leverage": wanted, self.largest: formats.bare(max_notional(spec, wanted)), "symbol": spec.symbol}

    def set_margin_type(self, account: Account, params: Params, now: int) -> Payload:
        """POST marginType"""
        spec = find_spec(self.engine, params, now)
        symbol = spec.symbol
        wanted = params.need_word("marginType", MarginType, -1130) is MarginType.ISOLATED
        if wanted is (symbol in account.isolated):
            raise refuse(-4046)
        if account.orders_of(symbol) or account.algos_of(symbol):
            raise refuse(-4047)
        positions = [account.position(symbol, side) for side in account.sides()]
        if any(p.quantity for p in positions):
            raise refuse(-4048)
        (account.isolated.add if wanted else account.isolated.discard)(symbol)
        self._configured(account, "marginType", symbol, "isolated" if wanted else "cross", now)
        self.engine.tell(account, "MARGIN_TYPE_CHANGE", now, positions, asset=spec.worth.asset, balance=False)
        return payloads.SUCCESS

    def position_mode(self, account: Account, params: Params, now: int) -> Payload:
        """GET positionSide/dual"""
        return {"dualSidePosition": account.dual}

    def set_position_mode(self, account: Account, params: Params, now: int) -> Payload:
        """POST positionSide/dual: in every market of the pool, where nothing is open in any of them."""
        wanted = params.need_flag("dualSidePosition")
        if wanted is account.dual:
            raise refuse(-4059)
        if any(one.open_orders or one.open_algos for one in account.mode.accounts):
            raise refuse(-4067)
        if any(any(one.held()) for one in account.mode.accounts):
            raise refuse(-4068)
        account.mode.dual = wanted
        self._configured(account, "dualSidePosition", "", str(wanted).lower(), now)
        return payloads.SUCCESS

    def multi_assets(self, account: Account, params: Params, now: int) -> Payload:
        """GET multiAssetsMargin"""
        return {"multiAssetsMargin": account.multi_assets}

    def set_multi_assets(self, account: Account, params: Params, now: int) -> Payload:
        """POST multiAssetsMargin: not while anything is isolated, or open."""
        wanted = params.need_flag("multiAssetsMargin")
        if wanted is account.multi_assets:
            raise refuse(-4171)
        if account.isolated:
            raise refuse(-4168)
        if account.open_orders or any(account.held()):
            raise refuse(-4167)
        account.multi_assets = wanted
        self._configured(account, "multiAssetsMargin", "", str(wanted).lower(), now)
        return payloads.SUCCESS

    def fee_burn(self, account: Account, params: Params, now: int) -> Payload:
        """GET feeBurn"""
        return {"feeBurn": account.burns}

    def set_fee_burn(self, account: Account, params: Params, now: int) -> Payload:
        """POST feeBurn"""
        account.burns = params.need_flag("feeBurn")
        self._configured(account, "feeBurn", "", str(account.burns).lower(), now)
        return payloads.SUCCESS

    def symbol_config(self, account: Account, params: Params, now: int) -> list[Payload]:
        """GET symbolConfig"""
        return [
            {
                "symbol": spec.symbol,
                "marginType": "ISOLATED" if spec.symbol in account.isolated else "CROSSED",
                "isAutoAddMargin": False,
                "leverage": account.leverage(spec.symbol),
                "maxNotionalValue": formats.bare(max_notional(spec, account.leverage(spec.symbol))),
            }
            for spec in self._specs(params, now)
        ]

    def account_config(self, account: Account, params: Params, now: int) -> Payload:
        """GET accountConfig"""
        return {
            "feeTier": 0,
            "canTrade": True,
            "canDeposit": True,
            "canWithdraw": True,
            "dualSidePosition": account.dual,
            "updateTime": 0,
            "multiAssetsMargin": account.multi_assets,
            "tradeGroupId": -1,
        }

    def leverage_brackets(self, account: Account, params: Params, now: int) -> object:
        """GET leverageBracket"""
        return [
            {
                "symbol": spec.symbol,
                "brackets": [
                    {
                        "bracket": number,
                        "initialLeverage": one.leverage,
                        "notionalCap": int(one.cap),
                        "notionalFloor": int(one.floor),
                        "maintMarginRatio": float(one.rate),
                        "cum": float(one.cum),
                    }
                    for number, one in enumerate(brackets_of(spec), start=1)
                ],
            }
            for spec in self._specs(params, now)
        ]

    def brackets_of_pairs(self, account: Account, params: Params, now: int) -> list[Payload]:
        """GET leverageBracket v1 of COIN-M: by pair, in coins."""
        pair = params.text("pair")
        by_pair = {spec.pair: spec for spec in self._specs(params, now) if pair in {None, spec.pair}}
        return [{"pair": name, "brackets": _in_coins(spec)} for name, spec in by_pair.items()]

    def brackets_of_coins(self, account: Account, params: Params, now: int) -> list[Payload]:
        """GET leverageBracket v2 of COIN-M: by symbol, in coins."""
        return [{"symbol": spec.symbol, "brackets": _in_coins(spec)} for spec in self._specs(params, now)]

    def commission_rate(self, account: Account, params: Params, now: int) -> Payload:
        """GET commissionRate"""
        symbol = find_spec(self.engine, params, now).symbol
        return {
            "symbol": symbol,
            "makerCommissionRate": formats.fixed(self.engine.terms.maker, 6),
            "takerCommissionRate": formats.fixed(self.engine.taker(symbol), 6),
        }

    def _specs(self, params: Params, now: int) -> list[SymbolSpec]:
        spec = optional_spec(self.engine, params, now)
        every = self.engine.market.specs.values()
        return [spec] if spec else [one for one in every if one.standing(now) != UNLISTED]

    def _is_affordable(self, account: Account, asset: str, now: int) -> bool:
        if not account.order_keys(asset) and not account.held_in(asset):
            return True
        return account.available(self.engine.marks(now), asset) > ZERO

    def _configured(self, account: Account, setting: str, symbol: str, value: str, now: int) -> None:
        self.engine.ledger.append(ledger.Configured(now, account.name, setting, symbol, value))


def _in_coins(spec: SymbolSpec) -> list[Payload]:
    return [
        {
            "bracket": number,
            "initialLeverage": one.leverage,
            "qtyCap": float(one.cap),
            "qtylFloor": float(one.floor),
            "maintMarginRatio": float(one.rate),
            "cum": float(one.cum),
        }
        for number, one in enumerate(brackets_of(spec), start=1)
    ]

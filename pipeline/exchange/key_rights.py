"""What an API key may do, as the exchange's account service says. Only production has one to ask."""

from dataclasses import replace
from typing import Final

from pipeline.exchange.environments import Environment
from pipeline.exchange.products.product import Product
from pipeline.exchange.reports import Record, read
from pipeline.exchange.rest import RestClient
from pipeline.exchange.signing import Credentials

ACCOUNT_URL: Final = "https://api.binance.com"
_PATH: Final = "/sapi/v1/account/apiRestrictions"


class KeyRights(Record, frozen=True, kw_only=True):
    """Rights of a key. One that may withdraw can lose everything to whoever steals it."""

    ip_restrict: bool = False
    enable_withdrawals: bool = False
    enable_futures: bool = False
    enable_spot_and_margin_trading: bool = False

    def may_trade(self, product: Product) -> bool:
        """Whether it may trade that market."""
        return bool(getattr(self, product.right))


def key_rights(place: Environment, credentials: Credentials, url: str | None = None) -> KeyRights:
    """Ask for them."""
    with RestClient(replace(place, rest_url=url or ACCOUNT_URL), credentials) as client:
        return read(client.signed("GET", _PATH).payload, KeyRights, f"GET {_PATH}")

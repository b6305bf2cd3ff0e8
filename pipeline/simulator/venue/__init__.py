"""The trading half of the exchange: accounts, orders, matching, margin, funding. Pure: no socket, no clock."""

from pipeline.simulator.venue.desks import Desks, coin_desks, no_desks, usd_desks
from pipeline.simulator.venue.funding import funding_rate, next_funding
from pipeline.simulator.venue.matching import Quote, quote
from pipeline.simulator.venue.venue import Venue

__all__ = ["Desks", "Quote", "Venue", "coin_desks", "funding_rate", "next_funding", "no_desks", "quote", "usd_desks"]

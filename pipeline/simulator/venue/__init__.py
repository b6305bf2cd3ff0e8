"""The trading half of the exchange: accounts, orders, matching, margin, funding. Pure: no socket, no clock."""

from pipeline.simulator.venue.funding import funding_rate, next_funding
from pipeline.simulator.venue.matching import Quote, quote
from pipeline.simulator.venue.venue import Desks, Venue, no_desks, usd_desks

__all__ = ["Desks", "Quote", "Venue", "funding_rate", "next_funding", "no_desks", "quote", "usd_desks"]

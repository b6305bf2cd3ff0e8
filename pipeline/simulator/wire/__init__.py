"""The doors of the exchange: what callers ask over REST, websockets and the panel, in its own formats."""

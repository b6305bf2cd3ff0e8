"""What the exchange trades: candles of numbers or of a recording, exact and repeatable. No sockets."""

"""The way into MongoDB: server, connection, codec, candles, series. Knows no exchange."""

"""The way out to Binance: REST, streams, signing, limits, filters, archive. Knows no database."""

"""A Binance-compatible USD-M futures exchange on localhost, with a fault panel."""

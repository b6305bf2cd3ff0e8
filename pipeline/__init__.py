"""Tidemark: candles of crypto futures in MongoDB, complete and right; signals from them; orders on the signals."""

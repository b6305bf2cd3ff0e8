"""The present: frames in, candle writes and signals out."""

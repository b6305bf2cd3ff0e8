"""Candles in buckets: their bytes, their tables, the laws of merging, and the one way in and out."""

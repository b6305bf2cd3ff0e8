"""Columns in, signals out: one small module a strategy. No I/O."""

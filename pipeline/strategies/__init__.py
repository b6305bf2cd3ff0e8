"""Columns in, signals out: one small module a strategy. Pure functions of numbers; nothing here does I/O.

`registry` finds strategies, `runner` runs one and holds it to its word, `check` shows that it cannot see the future.
"""

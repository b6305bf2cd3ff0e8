"""The executor as a process: one term of leadership after another, what feeds the engine and what acts for it."""

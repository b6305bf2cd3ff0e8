"""Prefect flows: each calls pipeline functions and reports progress; no logic of its own.

What computes backtests and searches is loaded by the runs that need it: whatever is imported here at once, the process
that serves the flows has for as long as it lives.
"""

"""Prefect flows: each calls pipeline functions and reports progress; no logic of its own."""

"""Signals in, orders out."""

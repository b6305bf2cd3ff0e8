"""Signals: written once, fed to the executor, read by people, measured against the price."""

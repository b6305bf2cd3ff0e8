"""Backups of the whole database: taken while others write, restored only when whole."""

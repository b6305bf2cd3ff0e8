"""A run as a page: figures, curves and trades, drawn by hand. Pure."""

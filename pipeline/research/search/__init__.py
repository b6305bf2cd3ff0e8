"""Which parameters would have earned."""

"""Why these months, and not the others."""

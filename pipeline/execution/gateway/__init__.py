"""Between the engine and the exchange: orders out, reports in, in each other's words."""

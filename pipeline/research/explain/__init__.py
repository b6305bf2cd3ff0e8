"""Why what was traded live is not what a backtest of the same minutes and signals trades."""

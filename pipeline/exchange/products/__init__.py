"""The markets of the exchange, one table each: what differs between them is written here and nowhere else."""

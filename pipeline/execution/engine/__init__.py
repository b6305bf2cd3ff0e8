"""The executor without I/O and clock: what is known, what follows from it, and what is to be sent. Pure."""

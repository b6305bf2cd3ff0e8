"""All positions of an account together: what they may come to. Pure."""

"""The past: plan what is missing, fetch it, audit it."""

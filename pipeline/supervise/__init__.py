"""The processes of `tidemark demo` and `tidemark up`: what each is, how it is started, watched and ended, and the keys
and logins they are given."""

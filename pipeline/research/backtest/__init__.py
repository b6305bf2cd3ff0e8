"""One run over the past: what it rests on, what happened in it, and what came out."""

"""The page: what a browser asks of Tidemark, and the files that it runs."""

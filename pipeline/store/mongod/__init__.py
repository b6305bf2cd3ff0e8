"""The embedded database: its folder, its server, its first user; and the session that opens it."""

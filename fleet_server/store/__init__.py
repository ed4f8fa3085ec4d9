"""The server's database (SQLite, one writer) and the artifacts (files by SHA-256)."""

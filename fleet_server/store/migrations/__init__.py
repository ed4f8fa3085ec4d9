"""Alembic migrations of the server's database, one file per revision."""

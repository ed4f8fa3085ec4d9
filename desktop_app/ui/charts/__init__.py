"""Charts with axes that name their units; each has a table twin."""

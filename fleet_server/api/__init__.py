"""HTTP: REST for operators and devices, artifacts with Range, TUF metadata, the dashboard."""

"""Questions about a project: plain functions that a worker thread runs and that answer with frozen values. No Qt."""

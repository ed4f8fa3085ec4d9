"""The studio's own small widgets."""

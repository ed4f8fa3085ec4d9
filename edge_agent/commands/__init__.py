"""The verbs of `eyelet-agent`, one module each."""

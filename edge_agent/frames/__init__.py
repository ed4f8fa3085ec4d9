"""Frames of a local source: a capture process of its own keeps the source open and hands them to the workers through shared memory."""

"""English texts and their Chinese twins."""

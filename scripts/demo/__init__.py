"""The whole loop on real data, through the same commands a user types: `python -m scripts.demo`."""

"""Evaluation: how good a run's model is on one split, with the uncertainty and the samples it fails on."""

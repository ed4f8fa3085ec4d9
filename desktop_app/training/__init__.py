"""Training: a recipe decides a run, a run is one folder, and an interrupted run goes on from its last epoch."""

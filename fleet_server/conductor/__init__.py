"""The shell around the rules of rollouts: reads facts from the database, applies decisions in transactions."""

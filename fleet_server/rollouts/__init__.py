"""The rules of a rollout, pure: cohort, gates, comparison of arms, lifecycle; no clock, no store, no link."""

"""The registry: models, their versions and aliases, applications; entries come from verified publications only."""

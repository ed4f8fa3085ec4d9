"""Programs for those who build Eyelet: set-up, the demonstration, proofs on other Pythons, bundles."""

"""The one inference engine: what the studio, the converters, the batch predictor and the device all run a package with."""

"""The studio: data, annotation, training, evaluation, conversion and release, as a window and as commands."""

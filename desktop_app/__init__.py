"""The studio: data, annotation, training, evaluation, conversion and release, as a window and as commands."""

import contract  # noqa: F401  (what it sets holds before any library is loaded)

"""Conversion of trained models: plan and steps, calibration, and what each variant costs in accuracy, size and time."""

import contract  # noqa: F401  (what it sets holds before any library is loaded)

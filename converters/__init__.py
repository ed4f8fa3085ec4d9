"""Conversion of trained models: plan and steps, calibration, and what each variant costs in accuracy, size and time."""

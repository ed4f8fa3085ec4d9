"""The agent: offline inference on the device, safe updates, health."""

"""The agent: offline inference on the device, safe updates, health."""

import contract  # noqa: F401  (what it sets holds before any library is loaded)

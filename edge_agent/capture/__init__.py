"""Field samples: what a device keeps of its own inputs for the labelling queue, within its privacy policy. Nothing leaves it by itself."""

"""Field samples: taken from devices that an operator asked, kept under caps, handed out to operators."""

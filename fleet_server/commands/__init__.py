"""The verbs of `eyelet-fleet`, one module each; all but `serve` speak to the server over REST."""

"""The server's half of TUF: verify what people sign, sign snapshot and timestamp, keep both fresh."""

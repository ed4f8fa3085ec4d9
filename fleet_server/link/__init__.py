"""The fleet link: an ordinary MQTT client of whichever broker is used; commit first, then acknowledge."""

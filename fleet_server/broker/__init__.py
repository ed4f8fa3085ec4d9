"""The MQTT broker between server and devices: an embedded listener, a managed mosquitto, or any broker by URL."""

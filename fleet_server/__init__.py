"""The fleet server: model versions, rollouts over MQTT, health and drift."""

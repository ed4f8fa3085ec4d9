"""The fleet server: registry, enrolment, desired and reported state, rollouts with gates, the MQTT link, REST and dashboard."""

VERSION = "0.1.0"

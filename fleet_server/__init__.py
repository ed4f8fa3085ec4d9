"""The fleet server: registry, enrolment, desired and reported state, rollouts with gates, the MQTT link, REST and dashboard."""

import contract  # noqa: F401  (what it sets holds before any library is loaded)

VERSION = "0.1.0"

"""Devices: enrolment with one-time claims, credentials, the desired state, what the operator sees."""

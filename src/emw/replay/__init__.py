"""Recorded sessions and requests through the very same service and engine, on virtual time."""

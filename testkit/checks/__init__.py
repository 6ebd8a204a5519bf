"""Batteries: what every implementation of one kind must pass."""

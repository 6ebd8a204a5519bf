"""Batteries: what every implementation of one kind must pass.

Owns the checks themselves, as functions that a test gives an implementation to. It ignores
which implementations there are: those are found by the registry of their kind.
"""

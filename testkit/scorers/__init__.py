"""Scorers that answer by rule, rightly or wrongly, and a server that stands in for Triton.

Owns the rules, and every kind of nonsense that an answer may be. It ignores models and weights.
"""

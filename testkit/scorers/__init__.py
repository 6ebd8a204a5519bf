"""Scorers that answer by rule, rightly or wrongly, and a Triton that is not one."""

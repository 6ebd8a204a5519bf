"""The platforms whose posts we read, as servers on loopback that misbehave on demand.

Owns what a platform sends, byte by byte, and how it breaks off. It ignores our mapping: what is
expected of it stands in the tests.
"""

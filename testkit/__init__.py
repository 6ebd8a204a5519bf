"""Stand-ins for what is outside, batteries that every part must pass, and faults.

No part of the product: a wheel does not have it.
"""

"""What measures models and alerts, each part with its command. No part of the product.

Owns the official tests, floors, baselines and published figures, windows of known mixes, and
streams with known shifts. It refuses to choose anything that ships: what is tuned is tuned on
validation splits, in `models`. It ignores how the stack runs, and the product imports nothing
of it.
"""

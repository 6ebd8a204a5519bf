"""From bytes to windows: decode, match queries, batch, count in panes, store; Faust at the rim.

Operators are pure code on whole batches. This package refuses to know how a score is made (it calls
the `core.ports.Scorer` it is given) and opens no socket but the store's and the broker's.
"""

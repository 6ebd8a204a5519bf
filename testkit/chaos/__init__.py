"""Faults against a running stack, and the books at the end.

Owns the schedule of faults, how each is injected, the proxy and the stand-in scorer that make
some of them possible, and the oracle that recomputes every pane from what was produced. It
starts a stack of its own on free ports. It ignores how the product counts: the oracle has
arithmetic of its own.
"""

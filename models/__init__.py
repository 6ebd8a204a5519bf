"""Models: what is learned, how it is built and how it is served.

Owns the backbone, the adapters and heads, their training (needs torch), the build into a Triton
model repository and the code that runs inside the model server (no torch in either). It ignores
brokers, stores and windows.
"""

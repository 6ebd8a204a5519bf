"""A stand-in for what the source `reddit` reads."""

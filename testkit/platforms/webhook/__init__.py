"""A stand-in for what the source `webhook` reads."""

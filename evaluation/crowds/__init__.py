"""How well the answers of a crowd are expected, before the first one and as they arrive."""

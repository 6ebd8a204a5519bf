"""Training of what is said of single persons; nothing here is imported by what serves it."""

"""Training of adapters that write as a person would. Needs torch."""

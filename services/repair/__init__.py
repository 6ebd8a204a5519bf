"""``groundswell windows repair``: what could not be read in the store, rebuilt from the topics."""

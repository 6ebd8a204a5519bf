"""Recorded posts from a file: finding its format and columns, mapping rows, moving their times."""

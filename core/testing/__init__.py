"""Builders of records for tests and examples, kept beside the records they build."""

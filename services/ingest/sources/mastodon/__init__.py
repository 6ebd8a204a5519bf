"""Mastodon: the streaming interface of one server, and its REST interface for what was missed."""

"""Reddit: new posts and comments of chosen communities, within its rate limits."""

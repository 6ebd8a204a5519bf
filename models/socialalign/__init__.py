"""SocialAlign: how one person answers an event, and how the crowd does."""

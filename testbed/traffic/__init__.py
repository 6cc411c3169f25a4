"""Who speaks (endpoints) and what they say (packets, TCP conversations)."""

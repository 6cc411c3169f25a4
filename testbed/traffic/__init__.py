"""Endpoints, and the packets and TCP conversations that they send."""

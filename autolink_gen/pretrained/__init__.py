"""Weights of the feature networks: found, fetched, checked."""

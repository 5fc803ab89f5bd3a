"""Losses: pure modules and functions, without files, devices or global state."""

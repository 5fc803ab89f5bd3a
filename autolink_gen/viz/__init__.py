"""Drawings and charts: arrays in, uint8 images out."""

"""Recipes of the GAN."""

"""Recipes of the graph learner."""

"""Inference of trained models."""

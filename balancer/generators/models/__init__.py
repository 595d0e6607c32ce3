"""Weights: found, checked, downloaded."""

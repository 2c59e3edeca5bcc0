"""Inputs that people really have: recipes that make them, and what must come out of each."""

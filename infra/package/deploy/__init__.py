"""Bring the functions to AWS, or to an emulator of it."""

"""Benchmarks: each figure is a ratio against something else that ran in the same minute."""

"""Functions packed for Lambda, each with the packages that it needs and nothing else: python -m infra.package."""

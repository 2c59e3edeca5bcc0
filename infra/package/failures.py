"""What can go wrong when a function is packed."""


class CannotPackage(Exception):
    """Raised when a function cannot be packed. The message says why, and what to do."""

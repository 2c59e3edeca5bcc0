"""Whether all that is stored is what was stored."""

"""MongoDB: the indexes, and how they are made."""

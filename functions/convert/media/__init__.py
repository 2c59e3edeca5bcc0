"""What is in a file: its container, its tracks, and how they are described."""

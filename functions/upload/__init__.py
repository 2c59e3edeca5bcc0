"""Upload: takes a video in and starts its conversion."""

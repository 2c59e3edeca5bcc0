"""convert: a message says that a video is there; the MP3 of its sound is made and stored."""

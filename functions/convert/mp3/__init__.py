"""What an MP3 is made of: its frames, and the tag before them with chapters and a cover."""

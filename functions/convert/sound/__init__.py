"""From a soundtrack to the frames of an MP3: decoded, laid out in time, encoded, and proved to be whole."""

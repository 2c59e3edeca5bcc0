"""Download: what people see of their conversions, and the MP3s."""

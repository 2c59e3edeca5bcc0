"""The function page: the built page, with its scripts, styles and icons."""

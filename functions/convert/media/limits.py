"""How much of a file the readers look at, so that a hostile one costs little."""

# More tracks than any camera, player or download has.
MAX_STREAMS = 64

# Twice what a walk over eight hours in fragments of half a second reads.
MAX_READ_BYTES = 256 * 1024 * 1024

# A table or a header that is larger belongs to no video. Eight hours of AAC list 1.3 million sizes of 4 bytes.
MAX_TABLE_BYTES = 32 * 1024 * 1024

"""What sets some kinds of containers apart. The kinds are those of Container."""

# Streams of packets without a container. Their time stamps are not a clock's, but counted from the packets.
BARE = frozenset({"mp3", "mp2", "mp1", "adts", "ac3", "eac3", "dts", "loas"})

# Streams that may begin anywhere and may be joined: ffmpeg takes the first packet of what is wanted for the start, and
# stitches time stamps that jump.
STITCHED = frozenset({"mpeg-ts", "mpeg-ps", "flv", "ogg", ""})

# The container has no tags of its own. Those of the soundtrack take their place.
TAGGED_BY_TRACK = frozenset({"ogg"})

# Editors and cameras keep each channel as a soundtrack of its own in these.
CHANNELS_APART = frozenset({"mxf", "mp4", "mp4-fragmented"})

# Their index lists each packet.
LISTS_PACKETS = frozenset({"mp4", "mp4-fragmented"})

# It has one soundtrack. Where more are found, bytes were damaged.
ONE_SOUNDTRACK = frozenset({"flv"})

# Their bytes tell whether one was cut off. If all are there and sound is missing, it was not understood.
NEVER_JUST_SHORT = frozenset({"mp3", "ogg", "voc"})

# Damage in their frames shows only in the checksums, which ffmpeg compares if it is asked to.
CHECKSUMMED = frozenset({"tta"})

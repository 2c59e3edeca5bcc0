"""Bit rates and sample rates, by their numbers in the headers of frames."""

# In kbit/s, by MPEG-1 or a later one, and layer: ISO/IEC 11172-3, 2.4.2.3, and 13818-3, 2.4.2.3.
MPEG_KBPS = {
    (True, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (True, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (False, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (False, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    (False, 3): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
# Of MPEG-1. MPEG-2 has half of each, and MPEG-2.5 a quarter.
MPEG_RATES_HZ = (44_100, 48_000, 32_000)

# In kbit/s, by half of `frmsizecod`: ETSI TS 102 366, table 4.13.
AC3_KBPS = (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640)

"""What the bundled ffmpeg may open: the containers, and the decoders of sound. docs/formats.md says it for people.

A container is listed when recorders, phones, cameras, broadcasters, editors, telephony or music software write it,
or when downloads come in it, and when it holds its own data. These are left out:

- Playlists and descriptions (hls, dash, concat, imf, sdp, rtsp, image2, vobsub, mlv, webm_dash_manifest ...), because
  they make ffmpeg open other files or addresses.
- Devices and discs (lavfi, pulse, x11grab, dvdvideo ...), because they are not files.
- Streams without a signature (s16le, alaw, g722, g726, g729, aptx, sbc, dfpwm, daud, sln, mxg ...), because ffmpeg
  knows them only by the ending of a file name, and it is given a descriptor that has no name.
- Programs that a player runs (libopenmpt, libgme, sbg), because they tell a synthesizer what to play and hold no sound.
- Formats of games, consoles and demos (adx, brstm, fsb, roq, vag, wsvqa, xmv ...), because people have no files of
  them to convert, and each is more code that reads hostile input.
- Audible's books (aa), because they are encrypted.
- Pictures, text and raw video, because there is no sound in them. mpegvideo alone is listed, because it tells a file
  without a soundtrack from one that cannot be read.
- Second readers of a container that is listed (asf_o, mpegtsraw).

A decoder is listed when one of these containers may hold its codec. So the decoders of the formats above are left
out, and with them those of what is not kept in files (comfortnoise, mp3adu) or is for tests (anull, wavesynth).
ffmpeg tries only the first decoder that it has for a codec, so only that one is listed.
"""

from collections.abc import Mapping
from types import MappingProxyType

_VIDEO_CONTAINERS = (
    *("mov", "matroska", "avi", "asf", "flv", "live_flv", "kux", "ogg", "nut"),
    *("mpegts", "mpeg", "mpegvideo", "pva", "ty", "wtv", "nuv"),
    # Broadcasters, editors and cinema cameras.
    *("mxf", "gxf", "lxf", "dv", "r3d", "mv"),
    # Video recorders of surveillance cameras.
    *("dhav", "hxvs", "ifv", "lmlm4", "lvf"),
    # Downloads of earlier years, and the players that people carried.
    *("rm", "ivr", "nsv", "swf", "vivo", "vividas", "mtv", "pmp"),
    # RAD Video Tools writes these two from any video, and they are found outside games, too.
    *("bink", "smk"),
    # Home computers: Commodore CDXL, Acorn Replay.
    *("cdxl", "rpl"),
)

_SOUND_CONTAINERS = (
    *("wav", "w64", "aiff", "au", "caf", "voc", "xwma", "iff", "avr", "ircam", "sox", "nistsphere", "nsp", "pvf"),
    *("laf", "epaf", "sds", "sdx", "rso", "hcom", "wve"),
    *("mp3", "aac", "loas", "ac3", "eac3", "dts", "dtshd", "mlp", "truehd", "spdif", "s337m", "iamf"),
    *("flac", "ape", "tak", "tta", "wv", "shn", "osq", "qoa", "bonk", "rka", "apac", "wavarc", "dsf", "wsd"),
    *("mpc", "mpc8", "vqf", "oma", "aea"),
    # Telephony, phones and dictation.
    *("amr", "amrnb", "amrwb", "qcp", "mmf", "gsm", "ilbc", "act", "bit", "dss"),
    # Nothing here decodes these. They are opened to say which codec it is that cannot be converted.
    *("ac4", "codec2", "lc3"),
)

DEMUXERS = ",".join(_VIDEO_CONTAINERS + _SOUND_CONTAINERS)
"""For ffmpeg's -format_whitelist."""

_MPEG = ("aac", "aac_latm", "mp1", "mp2")
_CINEMA = ("ac3", "eac3", "mlp", "truehd", "dolby_e", "s302m")
_INTERNET = (
    *("opus", "vorbis", "speex", "nellymoser", "cook", "ralf", "sipr", "qdm2", "qdmc", "twinvq"),
    *("metasound", "imc", "iac", "binkaudio_dct", "binkaudio_rdft"),
    *("wmav1", "wmav2", "wmapro", "wmalossless", "wmavoice", "xma1", "xma2"),
    *("atrac1", "atrac3", "atrac3al", "atrac9"),
)
_LOSSLESS = (
    *("flac", "alac", "ape", "tak", "tta", "wavpack", "shorten", "osq", "qoa", "bonk", "rka", "apac", "wavarc"),
    *("dsd_lsbf", "dsd_lsbf_planar", "dsd_msbf", "dsd_msbf_planar", "dst"),
)
_SPEECH = (
    *("evrc", "qcelp", "gsm", "gsm_ms", "ilbc", "g723_1", "g728", "g729", "siren", "msnsiren", "acelp.kelvin"),
    *("truespeech", "dss_sp", "ftr", "misc4"),
)
_HOME_COMPUTERS = ("8svx_exp", "8svx_fib", "hcom", "mace3", "mace6", "dfpwm", "cbd2_dpcm", "sdx2_dpcm", "xan_dpcm")
_ADPCM = (
    *("adpcm_agm", "adpcm_ct", "adpcm_ms", "adpcm_n64", "adpcm_sanyo", "adpcm_swf", "adpcm_yamaha", "adpcm_zork"),
    *("adpcm_sbpro_2", "adpcm_sbpro_3", "adpcm_sbpro_4"),
    *("adpcm_ima_acorn", "adpcm_ima_amv", "adpcm_ima_dk3", "adpcm_ima_dk4", "adpcm_ima_ea_sead", "adpcm_ima_escape"),
    *("adpcm_ima_magix", "adpcm_ima_oki", "adpcm_ima_qt", "adpcm_ima_wav", "adpcm_ima_ws", "adpcm_ima_xbox"),
)
_PCM = (
    *("pcm_alaw", "pcm_mulaw", "pcm_vidc", "dvaudio"),
    *("pcm_s8", "pcm_s8_planar", "pcm_u8"),
    *("pcm_s16be", "pcm_s16be_planar", "pcm_s16le", "pcm_s16le_planar", "pcm_u16be", "pcm_u16le"),
    *("pcm_s24be", "pcm_s24le", "pcm_s24le_planar", "pcm_u24be", "pcm_u24le", "pcm_lxf"),
    *("pcm_s32be", "pcm_s32le", "pcm_s32le_planar", "pcm_u32be", "pcm_u32le", "pcm_s64be", "pcm_s64le"),
    *("pcm_f16le", "pcm_f24le", "pcm_f32be", "pcm_f32le", "pcm_f64be", "pcm_f64le"),
    *("pcm_bluray", "pcm_dvd"),
)
_NAMED_OTHERWISE = {
    "adpcm_g722": "g722",
    "adpcm_g726": "g726",
    "adpcm_g726le": "g726le",
    "amr_nb": "amrnb",
    "amr_wb": "amrwb",
    "atrac3p": "atrac3plus",
    "atrac3pal": "atrac3plusal",
    "avc": "on2avc",  # On2's codec, not H.264
    "dts": "dca",
    "mp3": "mp3float",
    "mp3on4": "mp3on4float",
    "mp4als": "als",
    "musepack7": "mpc7",
    "musepack8": "mpc8",
    "ra_144": "real_144",
    "ra_288": "real_288",
    "smackaudio": "smackaud",
}

CODECS: Mapping[str, str] = MappingProxyType(
    {
        codec: codec
        for family in (_MPEG, _CINEMA, _INTERNET, _LOSSLESS, _SPEECH, _HOME_COMPUTERS, _ADPCM, _PCM)
        for codec in family
    }
    | _NAMED_OTHERWISE
)
"""The codecs that can be decoded, as ffmpeg's framecrc muxer names them, and the decoder of each."""

DECODABLE = frozenset(CODECS)

DECODERS = ",".join(CODECS.values())
"""For ffmpeg's -codec_whitelist: decoders of sound alone, so that no video decoder is ever opened."""

CODEC_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "aac": "AAC",
        "aac_latm": "AAC",
        "ac3": "Dolby Digital (AC-3)",
        "ac4": "AC-4",
        "adpcm_g722": "G.722",
        "adpcm_g726": "G.726",
        "adpcm_g726le": "G.726",
        "alac": "Apple Lossless (ALAC)",
        "amr_nb": "AMR-NB",
        "amr_wb": "AMR-WB",
        "ape": "Monkey's Audio",
        "apple_apac": "Apple Positional Audio (APAC)",
        "aptx": "aptX",
        "aptx_hd": "aptX HD",
        "atrac1": "ATRAC",
        "atrac3": "ATRAC3",
        "atrac3al": "ATRAC3 Advanced Lossless",
        "atrac3p": "ATRAC3plus",
        "atrac3pal": "ATRAC3plus Advanced Lossless",
        "atrac9": "ATRAC9",
        "avc": "On2 AVC",
        "binkaudio_dct": "Bink Audio",
        "binkaudio_rdft": "Bink Audio",
        "celt": "CELT",
        "codec2": "Codec 2",
        "cook": "RealAudio Cook",
        "dolby_e": "Dolby E",
        "dsd_lsbf": "DSD",
        "dsd_lsbf_planar": "DSD",
        "dsd_msbf": "DSD",
        "dsd_msbf_planar": "DSD",
        "dss_sp": "Digital Speech Standard (DSS)",
        "dst": "DST",
        "dts": "DTS",
        "dvaudio": "DV audio",
        "eac3": "Dolby Digital Plus (E-AC-3)",
        "evrc": "EVRC",
        "flac": "FLAC",
        "g723_1": "G.723.1",
        "g728": "G.728",
        "g729": "G.729",
        "gsm": "GSM",
        "gsm_ms": "GSM",
        "ilbc": "iLBC",
        "lc3": "LC3",
        "mlp": "Meridian Lossless Packing (MLP)",
        "mp1": "MPEG audio layer 1",
        "mp2": "MPEG audio layer 2",
        "mp3": "MP3",
        "mp4als": "MPEG-4 ALS",
        "mpegh_3d_audio": "MPEG-H 3D Audio",
        "musepack7": "Musepack",
        "musepack8": "Musepack",
        "nellymoser": "Nellymoser",
        "opus": "Opus",
        "pcm_alaw": "G.711 A-law",
        "pcm_mulaw": "G.711 µ-law",
        "qcelp": "QCELP",
        "qdm2": "QDesign Music 2",
        "qdmc": "QDesign Music",
        "qoa": "QOA",
        "ra_144": "RealAudio 14.4",
        "ra_288": "RealAudio 28.8",
        "ralf": "RealAudio Lossless",
        "s302m": "SMPTE 302M",
        "sbc": "SBC",
        "shorten": "Shorten",
        "sipr": "RealAudio Sipro",
        "smackaudio": "Smacker audio",
        "smv": "SMV",
        "sonic": "Sonic",
        "sonicls": "Sonic Lossless",
        "speex": "Speex",
        "tak": "TAK",
        "truehd": "Dolby TrueHD",
        "truespeech": "TrueSpeech",
        "tta": "True Audio (TTA)",
        "twinvq": "TwinVQ",
        "vorbis": "Vorbis",
        "wavpack": "WavPack",
        "wmalossless": "Windows Media Audio Lossless",
        "wmapro": "Windows Media Audio Pro",
        "wmav1": "Windows Media Audio 1",
        "wmav2": "Windows Media Audio 2",
        "wmavoice": "Windows Media Audio Voice",
        "xma1": "Xbox Media Audio 1",
        "xma2": "Xbox Media Audio 2",
    }
)
"""What people call a codec. A codec that is not listed goes by ffmpeg's name for it."""

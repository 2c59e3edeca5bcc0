"""What ffmpeg may open, held against what the bundled ffmpeg has."""

import array
import math
import re
import subprocess
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import NamedTuple

import imageio_ffmpeg
import pytest

from functions.convert.media.allowed import CODEC_NAMES, CODECS, DECODABLE, DECODERS, DEMUXERS
from tests.media import ffmpeg

# Each demuxer that is not allowed, by the reason. A new ffmpeg brings new ones, and each needs a decision.
LEFT_OUT = {
    "opens other files or addresses": """
        avisynth concat dash hls image2 imf mlv rtp rtsp sap sdp tedcaptions vobsub webm_dash_manifest""",
    "is a device or a disc": """
        dvdvideo fbdev kmsgrab lavfi openal oss pulse v4l2 video4linux2 x11grab""",
    "has no signature, so that only the ending of a file name tells it": """
        alaw aptx aptx_hd bitpacked codec2raw data daud dfpwm f32be f32le f64be f64le g722 g723_1 g726 g726le g728 g729
        mulaw mxg rawvideo s16be s16le s24be s24le s32be s32le s8 sbc sln u16be u16le u24be u24le u32be u32le u8 v210
        v210x vidc""",
    "is a program for a player": "libgme libopenmpt sbg",
    "is encrypted": "aa",
    "reads a container that another demuxer reads": "asf_o mpegtsraw",
    "belongs to games, consoles or demos": """
        3dostr 4xm aax ace acm adp ads adx afc aix alp anm apc apm argo_asf argo_brp argo_cvg ast avs bethsoftvid bfi
        bfstm binka bmv boa brstm c93 dcstr derf dfa dsicin dxa ea ea_cdata film_cpk fsb fwse gdv genh hca hnm idcin
        ipmovie iss jv kvag mca mgsts mm mods moflex msf mtaf musx mvi paf pdv pp_bnk psxstr redspark rl2 roq rsd scd
        sdns sga siff simbiosis_imx smjpeg smush sol svag svs thp tiertexseq tmv txd usm vag vmd vpk wady wc3movie wsaud
        wsvqa xa xmd xmv xvag yop""",
    "holds pictures": """
        alias_pix apng bmp_pipe brender_pix cri_pipe dds_pipe dpx_pipe exr_pipe filmstrip fits flic frm gem_pipe gif
        gif_pipe hdr_pipe ico image2pipe j2k_pipe jpeg_pipe jpegls_pipe jpegxl_anim jpegxl_pipe jpegxs_pipe msp pam_pipe
        pbm_pipe pcx_pipe pfm_pipe pgm_pipe pgmyuv_pipe pgx_pipe phm_pipe photocd_pipe pictor_pipe png_pipe ppm_pipe
        psd_pipe qdraw_pipe qoi_pipe ser sgi_pipe sunrast_pipe svg_pipe tiff_pipe vbn_pipe webp_anim webp_pipe xbm_pipe
        xpm_pipe xwd_pipe""",
    "holds text": """
        adf aqtitle ass bin dvbsub dvbtxt ffmetadata idf jacosub lrc mcc microdvd mpl2 mpsub pjs rcwt realtext sami scc
        srt stl subviewer subviewer1 sup tty vplayer webvtt xbin""",
    "holds video without sound": """
        apv av1 avs2 avs3 cavsvideo cdg cine dirac dnxhd evc h261 h263 h264 hevc ingenient ipu iv8 ivf luodat m4v mjpeg
        mjpeg_2000 mpjpeg msnwctcp nc obu sdr2 vc1 vc1test vvc yuv4mpegpipe""",
}

# Each codec that ffmpeg decodes and that is not allowed, by the reason.
CODECS_LEFT_OUT = {
    "is only in containers of games and consoles": """
        adpcm_4xm adpcm_adx adpcm_afc adpcm_aica adpcm_argo adpcm_circus adpcm_dtk adpcm_ea adpcm_ea_maxis_xa
        adpcm_ea_r1 adpcm_ea_r2 adpcm_ea_r3 adpcm_ea_xas adpcm_ima_alp adpcm_ima_apc adpcm_ima_apm adpcm_ima_cunning
        adpcm_ima_dat4 adpcm_ima_ea_eacs adpcm_ima_hvqm2 adpcm_ima_hvqm4 adpcm_ima_iss adpcm_ima_moflex adpcm_ima_mtf
        adpcm_ima_pda adpcm_ima_rad adpcm_ima_smjpeg adpcm_ima_ssi adpcm_mtaf adpcm_psx adpcm_psxc adpcm_thp
        adpcm_thp_le adpcm_vima adpcm_xa adpcm_xmd ahx bmv_audio derf_dpcm dsicinaudio fastaudio gremlin_dpcm hca
        interplay_dpcm interplayacm paf_audio pcm_sga roq_dpcm sol_dpcm vmdaudio wady_dpcm westwood_snd1""",
    "is only in streams without a signature": "aptx aptx_hd pcm_s24daud sbc",
    "is sent over networks and not kept in files": "comfortnoise mp3adu",
    "is for tests": "anull wavesynth",
}


class Recipe(NamedTuple):
    """An encoder of ffmpeg, a muxer that takes what it makes, and what the sound has to be like for it."""

    encoder: str
    muxer: str
    rate_hz: int = 44_100
    channels: int = 1
    more: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.encoder} in {self.muxer}"


def recipes(encoder: str, *muxers: str, rate_hz: int = 44_100, channels: int = 1) -> list[Recipe]:
    return [Recipe(encoder, muxer, rate_hz, channels) for muxer in muxers]


_PICTURES = ("-f", "lavfi", "-i", "testsrc=size=160x128:rate=10:duration=1", "-c:v", "amv", "-block_size", "2205")

RECIPES = [
    *recipes("aac", "adts", "asf", "avi", "flv", "matroska", "mov", "mpegts", "nut", "rm"),
    *recipes("ac3", "ac3", "avi", "mov", "mpeg", "mpegts", "rm", "spdif", "wav", rate_hz=48_000),
    *recipes("ac3_fixed", "matroska", rate_hz=48_000),
    *recipes("adpcm_ima_qt", "aiff", "caf", "mov"),
    *recipes("adpcm_ima_wav", "avi", "wav"),
    *recipes("adpcm_ima_ws", "aiff"),
    *recipes("adpcm_ms", "avi", "wav"),
    *recipes("adpcm_swf", "flv"),
    *recipes("adpcm_yamaha", "mmf", "wav"),
    Recipe("adpcm_ima_amv", "amv", 22_050, 1, _PICTURES),
    *recipes("alac", "caf", "matroska", "mov"),
    *recipes("dca", "dts", "matroska", "mov", "mpegts", "wav", rate_hz=48_000),
    *recipes("dfpwm", "matroska", "nut", "wav", rate_hz=48_000),
    *recipes("eac3", "eac3", "matroska", "mov", "mpegts", rate_hz=48_000),
    *recipes("flac", "flac", "matroska", "mp4", "ogg"),
    *recipes("g722", "au", "wav", rate_hz=16_000),
    *recipes("g723_1", "matroska", "wav", rate_hz=8_000),
    *recipes("g726", "matroska", "wav", rate_hz=8_000),
    *recipes("g726le", "au", rate_hz=8_000),
    *recipes("libmp3lame", "asf", "avi", "flv", "matroska", "mov", "mp3", "mpegts", "swf", "wav"),
    *recipes("libopencore_amrnb", "3gp", "amr", "caf", "wav", rate_hz=8_000),
    *recipes("libopus", "matroska", "mp4", "mpegts", "nut", "ogg", rate_hz=48_000),
    *recipes("libtwolame", "mpeg", rate_hz=48_000),
    *recipes("libvorbis", "matroska", "ogg"),
    *recipes("mlp", "matroska", "mlp", rate_hz=48_000, channels=2),
    *recipes("mp2", "avi", "mp2", "mpeg", "mpegts", "wav", rate_hz=48_000),
    *recipes("mp2fixed", "matroska"),
    *recipes("nellymoser", "flv", "mov", rate_hz=22_050),
    *recipes("opus", "ogg", rate_hz=48_000),
    *recipes("pcm_alaw", "aiff", "au", "avi", "caf", "flv", "ircam", "mov", "voc", "w64", "wav", rate_hz=8_000),
    Recipe("pcm_bluray", "mpegts", 48_000, 2, ("-mpegts_m2ts_mode", "1")),
    *recipes("pcm_dvd", "mpeg", rate_hz=48_000, channels=2),
    *recipes("pcm_f32be", "aiff", "au", "caf"),
    *recipes("pcm_f32le", "matroska", "wav"),
    *recipes("pcm_f64be", "au", "caf"),
    *recipes("pcm_f64le", "matroska", "wav"),
    *recipes("pcm_mulaw", "aiff", "au", "avi", "caf", "flv", "mov", "wav", rate_hz=8_000),
    *recipes("pcm_s16be", "aiff", "au", "matroska", "mov"),
    *recipes("pcm_s16le", "avi", "caf", "mov", "nut", "voc", "w64", "wav"),
    *recipes("pcm_s24be", "aiff", "au", "caf"),
    *recipes("pcm_s24le", "matroska", "mov", "wav"),
    *recipes("pcm_s32be", "aiff", "sox"),
    *recipes("pcm_s32le", "caf", "wav"),
    *recipes("pcm_s64le", "asf", "matroska"),
    *recipes("pcm_s8", "aiff", "au", "caf"),
    *recipes("pcm_u8", "avi", "flv", "wav", rate_hz=11_025),
    *recipes("pcm_u8", "voc", rate_hz=8_000),
    *(
        Recipe(encoder, "nut")
        for encoder in (
            *("pcm_s16be_planar", "pcm_s16le_planar", "pcm_s24le_planar", "pcm_s32le_planar", "pcm_s64be"),
            *("pcm_s8_planar", "pcm_u16be", "pcm_u16le", "pcm_u24be", "pcm_u24le", "pcm_u32be", "pcm_u32le"),
        )
    ),
    *recipes("real_144", "matroska", "rm", rate_hz=8_000),
    *recipes("s302m", "mpegts", rate_hz=48_000, channels=2),
    *recipes("truehd", "matroska", "mpegts", "truehd", rate_hz=48_000, channels=2),
    *recipes("tta", "matroska", "tta"),
    *recipes("vorbis", "ogg", channels=2),
    *recipes("wavpack", "matroska", "wv"),
    *recipes("wmav1", "asf", "avi"),
    *recipes("wmav2", "asf", "matroska"),
]
# ffmpeg reads this from Acorn Replay and writes it only without a container.
_NOT_WRITTEN = {"pcm_vidc"}


@cache
def listing(what: str) -> str:
    """Return one of ffmpeg's tables, without its legend."""
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", what]
    return re.split(r"^ ?-+$", subprocess.check_output(command, text=True), flags=re.MULTILINE)[-1]


def demuxers() -> set[str]:
    return {
        name for names in re.findall(r"^ D.. ?(\S+)", listing("-demuxers"), re.MULTILINE) for name in names.split(",")
    }


def audio_decoders() -> dict[str, list[str]]:
    """Return the decoders of each codec of sound, in the order in which ffmpeg tries them."""
    rows = re.findall(r"^ D.A\S+ +(\S+)(?:.*\(decoders: ([^)]*)\))?", listing("-codecs"), re.MULTILINE)
    return {codec: names.split() or [codec] for codec, names in rows}


def names(table: dict[str, str]) -> list[str]:
    return " ".join(table.values()).split()


def test_everything_allowed_is_in_the_bundled_ffmpeg():
    """A name that ffmpeg does not know allows nothing, and hides that a format is missing."""
    assert set(DEMUXERS.split(",")) <= demuxers()
    assert set(CODECS) <= set(audio_decoders())
    assert set(CODEC_NAMES) <= set(re.findall(r"^ ..A\S+ +(\S+)", listing("-codecs"), re.MULTILINE))


def test_only_decoders_of_sound_are_allowed():
    """Decoders of pictures are most of the code that has been attacked, and none is needed for sound."""
    assert set(DECODERS.split(",")) <= set(re.findall(r"^ A\S+ +(\S+)", listing("-decoders"), re.MULTILINE))


def test_the_decoder_that_ffmpeg_tries_first_is_the_one_allowed():
    """It tries no second one, so allowing another allows nothing."""
    first = {codec: decoders[0] for codec, decoders in audio_decoders().items()}

    assert {codec: first[codec] for codec in CODECS} == dict(CODECS)


def test_every_demuxer_is_allowed_or_left_out_for_a_reason():
    """A format that nobody considered would be refused, and nobody could say why."""
    left_out = names(LEFT_OUT)
    allowed = set(DEMUXERS.split(","))
    # These are other names of the demuxers of MOV and of Matroska, and one name allows a demuxer.
    allowed |= {"mp4", "m4a", "3gp", "3g2", "mj2", "webm"}

    assert len(left_out) == len(set(left_out))
    assert allowed.isdisjoint(left_out)
    assert allowed | set(left_out) == demuxers()


def test_every_codec_is_decoded_or_left_out_for_a_reason():
    """Decoders read hostile input, so each one is allowed or refused on purpose."""
    left_out = names(CODECS_LEFT_OUT)

    assert len(left_out) == len(set(left_out))
    assert DECODABLE.isdisjoint(left_out)
    assert DECODABLE | set(left_out) == set(audio_decoders())


def test_no_device_and_nothing_that_opens_other_files_is_allowed():
    """A 30-byte playlist named .mp4 would make ffmpeg read other files of the machine."""
    devices = set(re.findall(r"^ D d (\S+)", listing("-demuxers"), re.MULTILINE))

    assert devices
    assert set(DEMUXERS.split(",")).isdisjoint(names for device in devices for names in device.split(","))
    assert set(DEMUXERS.split(",")).isdisjoint(LEFT_OUT["opens other files or addresses"].split())


def test_every_encoder_of_an_allowed_codec_is_tried():
    """A codec that the tests never decode may be refused by one of the two lists without anybody noticing."""
    rows = re.findall(r"^ A\S+ +(\S+)(?:.*\(codec (\S+)\))?", listing("-encoders"), re.MULTILINE)

    assert {encoder for encoder, codec in rows if (codec or encoder) in DECODABLE} - _NOT_WRITTEN == {
        recipe.encoder for recipe in RECIPES
    }


@pytest.mark.parametrize("recipe", RECIPES, ids=str)
def test_what_ffmpeg_writes_is_decoded(recipe: Recipe, tmp_path: Path):
    """The lists only help if a whole file gets through both of them, with the right sound at the right length."""
    file = tmp_path / "sound"
    tone = f"sine=frequency=440:duration=1:sample_rate={recipe.rate_hz}"
    ffmpeg(
        *("-f", "lavfi", "-i", tone, *recipe.more, "-ac", str(recipe.channels), "-c:a", recipe.encoder),
        *("-strict", "experimental", "-f", recipe.muxer, str(file)),
    )

    samples = decoded(file)

    assert len(samples) / 8_000 == pytest.approx(1.0, abs=0.11)
    assert share_of_tone(samples, 440) > 0.8


def decoded(file: Path) -> Sequence[int]:
    """Return the first soundtrack as mono at 8 kHz, opened as the encoder opens it."""
    with file.open("rb") as source:
        command = [
            *(imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-nostdin", "-protocol_whitelist", "fd"),
            *("-format_whitelist", DEMUXERS, "-codec_whitelist", DECODERS, "-fd", str(source.fileno()), "-i", "fd:"),
            *("-map", "0:a:0", "-vn", "-sn", "-dn", "-ac", "1", "-ar", "8000", "-f", "s16le", "pipe:1"),
        ]
        done = subprocess.run(command, capture_output=True, timeout=60, check=False, pass_fds=[source.fileno()])
    assert done.returncode == 0, done.stderr.decode()
    return array.array("h", done.stdout)


def share_of_tone(samples: Sequence[int], hz: int) -> float:
    """Return how much of the energy lies in a tone, from 0 to 1."""
    turn = 2 * math.pi * hz / 8_000
    cosine = sum(sample * math.cos(turn * n) for n, sample in enumerate(samples))
    sine = sum(sample * math.sin(turn * n) for n, sample in enumerate(samples))
    return 2 * (cosine**2 + sine**2) / (len(samples) * sum(sample**2 for sample in samples) or 1)

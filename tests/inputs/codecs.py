"""Codecs and containers of cameras, recorders, telephones, broadcasters and older computers."""

from pathlib import Path

from tests.inputs.expected import Expected, mono, stereo
from tests.inputs.making import MPEG2, MPEG4, make, pictures, tone
from tests.inputs.making import stereo as sound
from tests.inputs.recipe import also_gives, gives

_STEREO = stereo(4, quiet=True)
_MONO = mono(4, quiet=True)


@gives("mts", _STEREO, codec="ac3", more=("-mpegts_m2ts_mode", "1", "-f", "mpegts"))
@gives("m2ts", _STEREO, codec="pcm_bluray", more=("-mpegts_m2ts_mode", "1", "-f", "mpegts"))
@gives("ts", _STEREO, codec="aac", more=("-mpegts_flags", "latm"), label="latm")
@gives("ts", _STEREO, codec="s302m", more=("-strict", "-2"), label="s302m")
@also_gives("ts", _STEREO, codec="dca", more=("-strict", "-2"), label="dca")
@also_gives("ts", _STEREO, codec="libopus", label="opus")
@also_gives("mpg", _STEREO, codec="mp2")
@also_gives("vob", _STEREO, codec="pcm_dvd", more=("-f", "vob"))
def broadcasts_and_discs(path: Path, codec: str, more: tuple[str, ...] = ()) -> None:
    """Camcorders, broadcasters and discs multiplex their sound into streams of MPEG."""
    make(path, pictures(4, rate=25), sound(4), arguments=[*MPEG2, "-c:a", codec, *more])


@gives("mkv", mono(4, channels=1, rate_hz=8000), video=MPEG4, codec="pcm_alaw", rate_hz=8000, label="telephone")
@also_gives("mkv", _MONO, video=MPEG4, codec="pcm_mulaw", rate_hz=8000, label="mulaw")
@gives("avi", _MONO, video=("-c:v", "mjpeg"), codec="adpcm_ima_wav", rate_hz=11_025, label="ima")
@also_gives("avi", _MONO, video=("-c:v", "mjpeg"), codec="adpcm_ms", rate_hz=22_050, label="ms")
@also_gives("avi", _MONO, video=("-c:v", "mjpeg"), codec="pcm_u8", rate_hz=11_025, label="u8")
@gives("mov", _MONO, video=MPEG4, codec="adpcm_ima_qt", rate_hz=22_050)
@gives("flv", _MONO, video=("-c:v", "flv1"), codec="nellymoser", rate_hz=22_050)
@also_gives("flv", _MONO, video=("-c:v", "flv1"), codec="adpcm_swf", rate_hz=22_050, label="adpcm")
@also_gives("3gp", _MONO, video=("-c:v", "h263"), codec="libopencore_amrnb", rate_hz=8000, more=("-b:a", "12.2k"))
@also_gives("mp4", _MONO, video=MPEG4, codec="libopus", rate_hz=48_000, label="opus")
def cameras_and_telephones(
    path: Path, video: tuple[str, ...], codec: str, rate_hz: int, more: tuple[str, ...] = ()
) -> None:
    """Cameras, telephones and early players of the web record in mono and at low rates."""
    arguments = ["-ac", "1", "-ar", str(rate_hz), *video, "-c:a", codec, *more]
    make(path, pictures(4), tone(440, 4, rate_hz=rate_hz), arguments=arguments)


@gives("amv", _MONO)
def cheap_players(path: Path) -> None:
    """Cheap players want AMV, with its own ADPCM."""
    amv = ["-c:v", "amv", "-strict", "-1", "-c:a", "adpcm_ima_amv", "-block_size", "2205"]
    speech = tone(440, 4, rate_hz=22_050)
    make(path, pictures(4, size="160x128"), speech, arguments=["-ac", "1", "-ar", "22050", *amv])


@gives("dv", stereo(3, quiet=True))
def tape_of_a_camcorder(path: Path) -> None:
    """A tape was copied from a camcorder as raw DV."""
    make(path, pictures(3, size="720x576", rate=25), sound(3), arguments=["-target", "pal-dv", "-f", "dv"])


@gives("aiff", _STEREO, codec="pcm_s24be")
@also_gives("caf", _STEREO, codec="alac")
@gives("caf", _STEREO, codec="pcm_s24le", label="pcm")
@gives("w64", _STEREO, codec="pcm_s24le", more=("-f", "w64"))
@gives("wav", _STEREO, codec="pcm_s24le", more=("-rf64", "always"), label="rf64")
@also_gives("wav", _STEREO, codec="pcm_f32le", label="float")
@also_gives("wav", _STEREO, codec="adpcm_ms", label="adpcm")
@also_gives("wav", _STEREO, codec="pcm_mulaw", label="mulaw")
@also_gives("flac", _STEREO, codec="flac")
@also_gives("tta", _STEREO, codec="tta")
@also_gives("wv", _STEREO, codec="wavpack")
@also_gives("m4a", _STEREO, codec="alac")
@also_gives("aac", stereo(4, tolerance=0.15, quiet=True), codec="aac")
@also_gives("ac3", _STEREO, codec="ac3")
@also_gives("wma", _STEREO, codec="wmav2")
@also_gives("oga", _STEREO, codec="flac")
@also_gives("voc", _STEREO, codec="pcm_s16le")
@also_gives("mp2", _STEREO, codec="mp2")
@also_gives("mp3", _STEREO, codec="libmp3lame")
@also_gives("nut", _STEREO, codec="pcm_s16le")
def recorders_and_music(path: Path, codec: str, more: tuple[str, ...] = ()) -> None:
    """Field recorders, music software and music collections have sound alone."""
    make(path, sound(4), arguments=["-c:a", codec, *more])


@gives("rm", _MONO, codec="real_144")
@gives("au", _MONO, codec="g726le", more=("-b:a", "32k"))
@also_gives("amr", _MONO, codec="libopencore_amrnb", more=("-b:a", "12.2k"))
@also_gives("wav", _MONO, codec="g726", more=("-b:a", "32k"), label="g726")
def speech_at_8_khz(path: Path, codec: str, more: tuple[str, ...] = ()) -> None:
    """Voice recorders, door cameras and old streams code speech at 8 kHz."""
    make(path, tone(440, 4, rate_hz=8000), arguments=["-ac", "1", "-ar", "8000", "-c:a", codec, *more])


@gives("mp4", _STEREO)
@gives("avi", _STEREO)
@also_gives("mkv", _STEREO)
@also_gives("flv", stereo(4, quiet=True))
def sound_is_mp3_already(path: Path) -> None:
    """An older film has MP3 as its sound."""
    video = ("-c:v", "flv1", "-ar", "44100") if path.suffix == ".flv" else MPEG4
    make(path, pictures(4), sound(4), arguments=[*video, "-c:a", "libmp3lame"])


@gives("mov", Expected(seconds=4, left=(440,), right=(880,), channels=2, rate_hz=48_000), rate_hz=96_000)
@also_gives("mov", Expected(seconds=4, left=(440,), right=(880,), channels=2), label="32 kHz", rate_hz=32_000)
def studio_rates(path: Path, rate_hz: int) -> None:
    """A studio records at rates that MP3 may not have."""
    make(path, pictures(4), sound(4, rate_hz=rate_hz), arguments=[*MPEG4, "-c:a", "pcm_s24le"])

"""Sound files as they are found in the wild: each is read whole and at its level, repaired in words, or refused."""

import shutil
import struct
import subprocess
import warnings

import numpy as np
import pytest
import soundfile

from audiointerp.errors import AudioRepairWarning, UnreadableAudioError
from audiointerp.sound.containers import parts_of
from audiointerp.sound.reading import read_audio

SECONDS = 2.0


def tone(rate=44_100, channels=1, seconds=SECONDS):
    """Steps of level, so that a part that is missing, doubled or in another place is seen."""
    time = np.arange(round(seconds * rate)) / rate
    level = np.array([0.4, 0.1, 0.25, 0.05])[np.minimum((time * 2).astype(int), 3)]
    wave = level * np.sin(2 * np.pi * 440 * time)
    return np.repeat(wave[:, None], channels, axis=1) if channels > 1 else wave


def written(path, rate=44_100, channels=1, seconds=SECONDS, **options):
    soundfile.write(path, tone(rate, channels, seconds), rate, **options)
    return path.read_bytes()


def without_count(data):
    """An MP3 without the frame that counts the others, as encoders write to a pipe."""
    tag = min(at for at in (data.find(b"Xing"), data.find(b"Info")) if at >= 0)
    start = data.rfind(data[:2], 0, tag)
    return data[data.find(data[:2], tag) :] if start >= 0 else data


def unknown_length(data):
    """A FLAC whose header does not know its length, as encoders write to a pipe: the last 36 bits of 8 bytes are 0."""
    head = struct.unpack_from(">Q", data, 18)[0] >> 36 << 36
    return data[:18] + struct.pack(">Q", head) + data[26:]


def with_size(data, size, riff=None):
    at = data.index(b"data") + 4
    data = data[:at] + struct.pack("<I", size) + data[at + 4 :]
    return data[:4] + struct.pack("<I", size if riff is None else riff) + data[8:]


def id3(data, size=50_000):
    """A tag with a picture in front, with bytes in it that look like a frame."""
    body = (
        b"APIC" + struct.pack(">I", size - 10) + bytes(2) + (b"\xff\xfb\x90\x64" + bytes(12)) * ((size - 10) // 16 + 1)
    )
    sizes = bytes(size >> shift & 127 for shift in (21, 14, 7, 0))
    return b"ID3\x03\x00\x00" + sizes + body[:size] + data


def id3v1(data):
    return data + b"TAG" + b"B\xe4r".ljust(125, b"\0")


def riff_chunk_first(data):
    at = data.index(b"fmt ")
    return data[:4] + struct.pack("<I", len(data) + 8) + data[8:at] + b"JUNK\x08\0\0\0" + bytes(8) + data[at:]


SUBTYPES = {
    "wav": ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "MS_ADPCM", "IMA_ADPCM"],
    "flac": ["PCM_S8", "PCM_16", "PCM_24"],
    "aiff": ["PCM_16", "FLOAT"],
    "au": ["PCM_16", "ULAW"],
    "caf": ["PCM_16", "ALAC_16"],
    "w64": ["PCM_16"],
    "rf64": ["PCM_16"],
    "ogg": ["VORBIS", "OPUS"],
    "mp3": ["MPEG_LAYER_III"],
}

# Name: how it is made from a good file's bytes, its extension, writing options, seconds to be read, what is said.
WILD = {
    **{
        f"{kind} {subtype}": (
            bytes,
            kind,
            {"subtype": subtype} | ({"rate": 48_000} if subtype == "OPUS" else {}),
            2.0,
            "",
        )
        for kind, subtypes in SUBTYPES.items()
        for subtype in subtypes
    },
    **{
        f"wav of {rate} Hz": (bytes, "wav", {"rate": rate}, 2.0, "") for rate in (7999, 11_025, 37_800, 96_000, 192_000)
    },
    **{
        f"mp3 of {rate} Hz": (bytes, "mp3", {"rate": rate}, 2.0, "") for rate in (8_000, 16_000, 24_000, 32_000, 48_000)
    },
    **{f"{kind}, stereo": (bytes, kind, {"channels": 2}, 2.0, "") for kind in ("wav", "flac", "ogg", "mp3")},
    "wav, 5.1": (bytes, "wav", {"channels": 6}, 2.0, ""),
    "flac, 5.1": (bytes, "flac", {"channels": 6}, 2.0, ""),
    "mp3, constant": (bytes, "mp3", {"bitrate_mode": "CONSTANT"}, 2.0, ""),
    "mp3, variable": (bytes, "mp3", {"bitrate_mode": "VARIABLE"}, 2.0, ""),
    "mp3, constant, uncounted": (without_count, "mp3", {"bitrate_mode": "CONSTANT"}, 2.0, ""),
    "mp3, variable, uncounted": (without_count, "mp3", {"bitrate_mode": "VARIABLE"}, 2.0, ""),
    "mp3, uncounted, stereo, tagged": (lambda d: id3(without_count(d)), "mp3", {"channels": 2}, 2.0, ""),
    "mp3 of 22 kHz, uncounted": (without_count, "mp3", {"rate": 22_050, "bitrate_mode": "VARIABLE"}, 2.0, ""),
    "mp3 of 8 kHz, uncounted": (without_count, "mp3", {"rate": 8_000, "bitrate_mode": "VARIABLE"}, 2.0, ""),
    "mp3, tagged with a picture": (id3, "mp3", {}, 2.0, ""),
    "mp3, tagged at its end": (id3v1, "mp3", {}, 2.0, ""),
    "mp3, joined": (lambda d: 2 * d, "mp3", {}, 4.0, "2 sound files joined"),
    "mp3, five joined": (lambda d: 5 * d, "mp3", {}, 10.0, "5 sound files joined"),
    "mp3, tagged and joined": (lambda d: 2 * id3v1(id3(d)), "mp3", {}, 4.0, "2 sound files joined"),
    "mp3, uncounted and joined": (lambda d: 2 * without_count(d), "mp3", {}, 4.0, ""),
    "mp3, cut": (lambda d: d[: len(d) // 2], "mp3", {"bitrate_mode": "CONSTANT"}, None, "truncated"),
    "mp3, joined and cut": (
        lambda d: (2 * d)[: len(d) * 3 // 2],
        "mp3",
        {"bitrate_mode": "CONSTANT"},
        2.9,
        "truncated",
    ),
    "ogg, chained": (lambda d: 2 * d, "ogg", {}, 4.0, "2 sound files joined"),
    "ogg, cut": (lambda d: d[: len(d) * 3 // 4], "ogg", {"seconds": 20.0}, None, "truncated"),
    "flac, streamed": (unknown_length, "flac", {}, 2.0, ""),
    "flac, streamed, 24 bit": (unknown_length, "flac", {"subtype": "PCM_24", "channels": 2}, 2.0, ""),
    "flac, joined": (lambda d: 3 * d, "flac", {}, 6.0, "3 sound files joined"),
    "flac, cut": (lambda d: d[: len(d) // 2], "flac", {}, None, "truncated"),
    "flac, streamed and cut": (lambda d: unknown_length(d)[: len(d) // 2], "flac", {}, None, "truncated"),
    "wav, piped": (lambda d: with_size(d, 0xFFFFFFFF), "wav", {}, 2.0, ""),
    "wav, piped by another": (lambda d: with_size(d, 0x7FFFFFFF), "wav", {}, 2.0, ""),
    "wav, its size never written": (lambda d: with_size(d, 0), "wav", {}, 2.0, ""),
    "wav, only its data's size": (lambda d: with_size(d, 0, len(d) - 8), "wav", {}, 2.0, ""),
    "wav, joined": (lambda d: 2 * d, "wav", {}, 4.0, "2 sound files joined"),
    "wav, cut": (lambda d: d[: 44 + (len(d) - 44) // 2], "wav", {}, 1.0, "truncated"),
    "wav, a chunk before": (riff_chunk_first, "wav", {}, 2.0, ""),
    "wav, a list behind": (lambda d: d + b"LIST\x04\0\0\0INFO", "wav", {}, 2.0, ""),
    **{
        f"{kind}, cut": (lambda d: d[: len(d) // 2], kind, {}, 1.0, "truncated")
        for kind in ("aiff", "au", "w64", "rf64")
    },
}


def ffmpeg():
    if found := shutil.which("ffmpeg"):
        return found
    try:
        from imageio_ffmpeg import get_ffmpeg_exe
    except ImportError:
        return None
    return get_ffmpeg_exe()


def levels(wave, rate):
    """RMS of each tenth of a second."""
    step = rate // 10
    blocks = wave[: len(wave) // step * step].reshape(-1, step)
    return np.sqrt((blocks.astype(float) ** 2).mean(axis=1))


def read(path):
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", AudioRepairWarning)
        wave = read_audio(path, None)
    return wave, " | ".join(str(warning.message) for warning in caught)


@pytest.fixture(params=WILD)
def wild(request, tmp_path):
    make, kind, options, seconds, said = WILD[request.param]
    good = tmp_path / f"good.{kind}"
    try:
        data = written(good, **options)
    except (soundfile.LibsndfileError, TypeError, ValueError) as error:
        pytest.skip(f"this libsndfile does not write it: {error}")
    path = tmp_path / f"wild.{kind}"
    path.write_bytes(make(data))
    return path, options.get("rate", 44_100), options.get("seconds", SECONDS), seconds, said


def test_there_are_at_least_sixty():
    assert len(WILD) >= 60


def test_length_and_level_are_right_or_the_repair_is_said(wild):
    path, rate, of, seconds, said = wild
    wave, notes = read(path)
    assert (said in notes) if said else not notes
    if seconds is None:  # of what was cut, more than nothing and less than all
        assert 0.3 < len(wave) / rate < 0.95 * of
    else:
        assert len(wave) / rate == pytest.approx(seconds, abs=0.1)  # coders add up to two frames of silence
    whole = np.tile(tone(rate, seconds=of), 5)
    found = levels(wave, rate)
    expected = levels(whole, rate)[: len(found)]
    inner = np.arange(len(found)) % 5 % 4 != 0  # not beside a step of the level: coders smear and shift it
    assert np.abs(20 * np.log10(found[: len(expected)][inner] / expected[inner])).max(initial=0) < 1.0


def test_as_long_and_as_loud_as_ffmpeg_decodes_it(wild):
    path, rate, *_ = wild
    if not (program := ffmpeg()):
        pytest.skip("needs ffmpeg: on the path, or from the package imageio-ffmpeg")
    command = [program, "-loglevel", "quiet", "-i", path, "-f", "f32le", "-"]
    with soundfile.SoundFile(path.with_name(f"good{path.suffix}")) as good:
        channels = good.channels
    theirs = np.frombuffer(subprocess.run(command, capture_output=True).stdout, np.float32).reshape(-1, channels)
    wave, notes = read(path)
    if "joined" in notes and path.suffix == ".wav":
        pytest.skip("ffmpeg reads the first of joined WAVs alone")
    # It leaves what coders add at each joint of MP3s.
    assert len(wave) / rate == pytest.approx(len(theirs) / rate, abs=0.07 * (5 if "joined" in notes else 1))
    if "joined" in notes:
        return
    common = min(len(wave), len(theirs))
    ours, theirs = (np.sqrt((w[:common].astype(float) ** 2).mean()) for w in (wave, theirs.mean(axis=1)))
    assert 20 * np.log10(ours / theirs) == pytest.approx(0, abs=0.5)


@pytest.mark.parametrize("name", ["sound.mp3", "sound.txt", "sound", "sound.raw", "sound.wav.download"])
def test_a_wrong_name_makes_no_difference(tmp_path, name):
    data = written(tmp_path / "a.wav", subtype="FLOAT")
    (tmp_path / name).write_bytes(data)
    wave, notes = read(tmp_path / name)
    assert not notes and np.abs(wave - tone()).max() < 1e-6


@pytest.mark.parametrize("kind", ["mp3", "flac", "ogg"])
def test_a_limit_holds_for_what_is_decoded_not_for_what_is_said(tmp_path, kind):
    make = {"mp3": lambda d: 3 * d, "flac": unknown_length, "ogg": lambda d: 3 * d}[kind]
    data = written(tmp_path / f"a.{kind}")
    (tmp_path / f"b.{kind}").write_bytes(make(data))
    with pytest.raises(UnreadableAudioError, match=r"b\.\w+: .*at most 0\.0 minutes are accepted.*max_seconds"):
        read_audio(tmp_path / f"b.{kind}", max_seconds=1.5)


def test_joined_files_of_unlike_kind(tmp_path):
    one, two = (written(tmp_path / "a.flac", rate=rate) for rate in (44_100, 22_050))
    (tmp_path / "b.flac").write_bytes(one + two)
    wave, notes = read(tmp_path / "b.flac")
    assert len(wave) == 88_200 and "unlike rate or channels: only the first 1 are read" in notes


@pytest.mark.parametrize(
    "data",
    [
        b"RIFF",
        b"RIFF\x24\0\0\0WAVE",
        b"fLaC",
        b"OggS",
        b"OggS" + bytes(40),
        b"ID3",
        b"ID3\x04\0\0\0\0\0\x7f",
        b"\xff\xfb",
        b"\xff\xfb\x90\x64" * 200,
        b"\xff" * 5000,
        b"RIFF" + b"\xff" * 200,
        b"<!doctype html>" + b"x" * 2000,
    ],
)
def test_what_is_no_sound_is_refused(tmp_path, data):
    (tmp_path / "a.mp3").write_bytes(data)
    with pytest.raises(UnreadableAudioError, match=r"a\.mp3: (not readable as audio|no audio frames)"):
        read_audio(tmp_path / "a.mp3")


def test_an_empty_wav_stays_empty(tmp_path):
    data = written(tmp_path / "a.wav", seconds=0)
    (tmp_path / "b.wav").write_bytes(data + b"LIST\x04\0\0\0INFO")
    for name in ("a.wav", "b.wav"):
        with pytest.raises(UnreadableAudioError, match="no audio frames"):
            read_audio(tmp_path / name)


def test_a_good_file_is_given_as_it_is(tmp_path):
    for kind in ("wav", "flac", "ogg", "mp3"):
        written(tmp_path / f"a.{kind}")
        with (tmp_path / f"a.{kind}").open("rb") as file:
            assert parts_of(file) == ([file], False)

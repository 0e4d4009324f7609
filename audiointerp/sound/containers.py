"""What sound files hold, whatever their headers say: joined files taken apart, lengths counted and written in.

libsndfile believes a header: of joined files it reads the first, of an MP3 without a count of its frames as much as the
first frame's bit rate makes likely, of a WAV whose length was never written nothing.
"""

import io
import mmap
import re
import struct

# Bit rates in kbit/s by index, and sample rates in Hz, of MPEG 1, 2 and 2.5, layer III (ISO 11172-3, 13818-3).
_RATES = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}
_KBITS = {
    3: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    2: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_FLAC = re.compile(rb"fLaC[\x00\x80]\x00\x00\x22")
UNKNOWN = 0x7FFF_0000  # bytes; a size from here on stands where nobody knew it, in what was streamed


def parts_of(file):
    """The sound files that an open binary file holds one after another, and whether the last is cut off.

    Each is the whole file itself or an `io.BytesIO`, with a header that libsndfile may believe. What is none of WAV,
    FLAC, Ogg and MP3 is given back as it is.
    """
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        kind = data[:4]
        if kind == b"RIFF":
            parts, cut = _wav(data)
        elif kind == b"fLaC":
            starts = [found.start() for found in _FLAC.finditer(data)] or [0]
            parts, cut = _between(data, starts), False
        elif kind == b"OggS":
            parts, cut = _ogg(data)
        elif kind[:3] == b"ID3" or _frame_at(data, 0):
            parts, cut = _mp3(data)
        else:
            parts, cut = [], False
        return [io.BytesIO(part) for part in parts] or [file], cut


def _between(data, starts):
    """Bytes from each start to the next; none if there is one start alone."""
    return (
        [data[start:stop] for start, stop in zip(starts, [*starts[1:], len(data)], strict=True)] if starts[1:] else []
    )


def _wav(data):
    """A WAV whose length is unknown gets one; of joined ones each is a part."""
    starts, cut, mended = [0], False, []
    while starts[-1] + 12 <= len(data):
        begin, at = starts[-1], starts[-1] + 12
        known = struct.unpack_from("<I", data, begin + 4)[0]
        end = begin + 8 + known + known % 2 if 0 < known < UNKNOWN else len(data)
        while at + 8 <= min(end, len(data)):
            name, size = data[at : at + 4], struct.unpack_from("<I", data, at + 4)[0]
            rest = len(data) - at - 8
            if name == b"data" and rest and (size >= UNKNOWN or (size == 0 and not _chunks(data, at + 8))):
                head = bytearray(data[begin : at + 8])
                struct.pack_into("<I", head, 4, len(head) + rest - 8)
                struct.pack_into("<I", head, len(head) - 4, rest)
                return [*mended, bytes(head) + data[at + 8 :]], False
            cut = size > rest
            at += 8 + size + size % 2
        if not (data[end : end + 4] == b"RIFF" and data[end + 8 : end + 12] == b"WAVE"):
            break
        mended.append(data[begin:end])
        starts.append(end)
    return _between(data, starts), cut


def _chunks(data, at):
    """Whether nothing but whole chunks lies from a position to the end."""
    while at + 8 <= len(data) and data[at : at + 4].isalnum():
        size = struct.unpack_from("<I", data, at + 4)[0]
        at += 8 + size + size % 2
    return at >= len(data)


def _ogg(data):
    """Chained streams are parts; the last is cut off if its pages have no end."""
    starts, at, opening, ended = [], 0, False, False
    while data[at : at + 4] == b"OggS" and at + 27 <= len(data):
        flags, segments = data[at + 5], data[at + 26]
        if flags & 2 and not opening:
            starts.append(at)
        opening, ended = bool(flags & 2), bool(flags & 4)
        size = 27 + segments + sum(data[at + 27 : at + 27 + segments])
        if at + size > len(data):
            return _between(data, starts), True
        at += size
    return _between(data, starts), not ended


def _mp3(data):
    """Frames up to the next count of frames are a part; a count that is missing or wrong is replaced."""
    parts, frames, cut = [], [], False
    for start, size, header in _frames(data):
        count = _count_at(data, start, header)
        if count is not None and frames:
            parts.append(frames)
            frames = []
        frames.append((start, size, header, count))
    parts.append(frames)
    if not frames:
        return [], False
    made = []
    for frames in parts:
        (start, size, header, count), (last, length, *_) = frames[0], frames[-1]
        sounding = len(frames) - (count is not None)
        cut = bool(count) and sounding < count
        stop = min(last + length, len(data))
        if count == sounding:
            made.append(data[start:stop])
        elif sounding:
            first = frames[count is not None][0]
            made.append(_counted(data, *frames[count is not None][:3], sounding) + data[first:stop])
    whole = len(made) == 1 and parts[0][0][3] == len(parts[0]) - 1
    return [] if whole else made, cut


def _frames(data):
    """Start, length and header of every frame of layer III; tags and what lies between frames are passed over."""
    at = 0
    while at + 4 <= len(data):
        size = _frame_at(data, at)
        if data[at : at + 3] == b"ID3" and at + 10 <= len(data):
            sizes = data[at + 6 : at + 10]
            at += 10 + (sizes[0] << 21 | sizes[1] << 14 | sizes[2] << 7 | sizes[3]) + 10 * bool(data[at + 5] & 16)
            continue
        if size:
            yield at, size, struct.unpack_from(">I", data, at)[0]
            at += size
        else:
            at = data.find(b"\xff", at + 1)
            if at < 0:
                return


def _frame_at(data, at):
    """Bytes of the frame at a position; 0 if there is none, or no other, no tag and no end follows it."""
    size = _frame_size(struct.unpack_from(">I", data, at)[0]) if at + 4 <= len(data) else 0
    end = at + size
    follows = end + 4 > len(data) or data[end : end + 3] in (b"ID3", b"TAG", b"APE")
    return size if size and (follows or _frame_size(struct.unpack_from(">I", data, end)[0])) else 0


def _frame_size(header):
    """Bytes of a frame of layer III from its first four; 0 if they are none."""
    version, layer, kbits, rate = header >> 19 & 3, header >> 17 & 3, header >> 12 & 15, header >> 10 & 3
    if header >> 21 != 0x7FF or version == 1 or layer != 1 or kbits in (0, 15) or rate == 3:
        return 0
    samples = 1152 if version == 3 else 576
    return samples // 8 * 1000 * _KBITS[max(2, version)][kbits] // _RATES[version][rate] + (header >> 9 & 1)


def _side(header):
    """Bytes of a frame before which a count of frames stands: its header and side information."""
    mono = header >> 6 & 3 == 3
    return 4 + ((17 if mono else 32) if header >> 19 & 3 == 3 else (9 if mono else 17))


def _count_at(data, start, header):
    """Frames of the whole file by the count in this frame (0 if it has none); None if it is no such frame."""
    at = start + _side(header)
    if data[at : at + 4] not in (b"Xing", b"Info"):
        return None
    flags = struct.unpack_from(">I", data, at + 4)[0] if at + 12 <= len(data) else 0
    return struct.unpack_from(">I", data, at + 8)[0] if flags & 1 else 0


def _counted(data, start, size, header, count):
    """A silent frame that tells the number of frames behind it."""
    header = header & ~(15 << 12 | 1 << 9) | 9 << 12 | 1 << 16  # of a bit rate with room for the count, no checksum
    frame = bytearray(_frame_size(header))
    struct.pack_into(">I", frame, 0, header)
    struct.pack_into(">4sII", frame, _side(header), b"Xing", 1, count)
    return bytes(frame)

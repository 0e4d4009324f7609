"""The four events that are voices: dog, crying baby, rooster, sneeze.

The contract is that of :mod:`~audiointerp.datasets.noises`.
"""

import numpy as np

from .signals import Event, band, curve, fades, noise, place, resonances, voice


def dog(source, take, seconds, sample_rate):
    """Three to six barks of 80 to 200 ms, rough, falling in pitch, formants 500 to 2000 Hz. Evidence: each bark."""
    pitch, length = np.exp(source.uniform(np.log(250), np.log(700))), source.uniform(0.09, 0.19)
    centres = [source.uniform(500, 900), source.uniform(1100, 2000)]
    gain = resonances(centres, [300, 500], [1.0, source.uniform(0.5, 1.0)], 0.01)
    roughness, breath = source.uniform(40, 90), source.uniform(0.25, 0.8)
    high = centres[1] + 500
    stem, boxes = np.zeros(round(seconds * sample_rate)), []
    for start in _starts(take, take.integers(3, 7), seconds, 1.6 * length, (0.12, 0.7)):
        count = round(length * take.uniform(0.85, 1.15) * sample_rate)
        track = pitch * take.uniform(0.93, 1.07) * curve([0.8, 1.1, 0.95, 0.6], count)
        rough = 1 + 0.5 * np.sin(2 * np.pi * roughness * np.arange(count) / sample_rate)
        bark = voice(track, sample_rate, gain) * rough + breath * noise(take, count, sample_rate, gain)
        place(stem, bark * fades(count, sample_rate, 0.015, 0.06) * take.uniform(0.7, 1), start, sample_rate)
        boxes.append((start, start + count / sample_rate, min(0.55 * pitch, centres[0] - 250), high))
    return Event(stem, boxes, [], {"pitch_hz": pitch, "barks": len(boxes)})


def crying_baby(source, take, seconds, sample_rate):
    """Cries of 0.5 to 1.2 s whose pitch rises and falls between 300 and 600 Hz, a breath after each.

    Evidence: each cry, from its fundamental up to its second formant; the breaths are listed as faint.
    """
    pitch, tremor = source.uniform(320, 560), source.uniform(5, 8)
    centres = [source.uniform(900, 1400), source.uniform(2400, 3400)]
    gain = _throat(centres, [1.0, source.uniform(0.4, 0.9)], source.uniform(0.03, 0.1))
    harshness, pause = source.uniform(0.05, 0.3), source.uniform(0.15, 0.5)
    contour = [source.uniform(0.75, 0.9), 1.1, source.uniform(1.0, 1.15), source.uniform(0.7, 0.9)]
    stem, boxes, faint = np.zeros(round(seconds * sample_rate)), [], []
    time = take.uniform(0, min(1.2, seconds / 3))
    while time < seconds - 0.3 and len(faint) < 5:
        length = min(take.uniform(0.5, 1.2), seconds - time)
        count = round(length * sample_rate)
        shake = 1 + 0.015 * np.sin(2 * np.pi * tremor * np.arange(count) / sample_rate)
        track = pitch * take.uniform(0.94, 1.06) * curve(contour, count) * shake
        cry = voice(track, sample_rate, gain) + harshness * noise(take, count, sample_rate, gain)
        place(stem, cry * fades(count, sample_rate, 0.05, 0.12) * take.uniform(0.7, 1), time, sample_rate)
        boxes += _along(track, time, sample_rate, centres[1] + 900)
        breath = round(0.8 * pause * sample_rate)
        sound = noise(take, breath, sample_rate, band(1000, 4000)) * fades(breath, sample_rate, 0.05, 0.05)
        place(stem, 0.12 * sound, time + length + 0.1 * pause, sample_rate)
        faint.append((time + length + 0.1 * pause, time + length + 0.9 * pause, 1000, 4000))
        time += length + pause * take.uniform(1.0, 1.3)
    return Event(stem, boxes, faint, {"pitch_hz": pitch})


def rooster(source, take, seconds, sample_rate):
    """A crow of two or three short syllables and one long one that falls, pitch 500 to 1000 Hz.

    Evidence: each syllable, from its fundamental up to its second formant.
    """
    pitch, shorts = source.uniform(520, 950), source.integers(2, 4)
    centres = [source.uniform(1000, 1700), source.uniform(2400, 3400)]
    gain = _throat(centres, [1.0, source.uniform(0.3, 0.8)], source.uniform(0.03, 0.08))
    lengths = [*source.uniform(0.12, 0.28, shorts), source.uniform(0.6, 1.1)]
    heights = [*source.uniform(0.75, 1.0, shorts), source.uniform(1.0, 1.15)]
    gap, harshness = source.uniform(0.04, 0.12), source.uniform(0.05, 0.3)
    whole = sum(lengths) + gap * shorts
    stem, boxes = np.zeros(round(seconds * sample_rate)), []
    for crow in _starts(take, take.integers(1, 3), seconds, whole, (0.3, 1.2)):
        time = crow
        for number, (length, height) in enumerate(zip(lengths, heights, strict=True)):
            count = round(length * take.uniform(0.93, 1.07) * sample_rate)
            shape_of = [0.85, 1.05, 1.0, 0.9] if number < shorts else [0.8, 1.1, 1.05, 0.95, 0.6]
            track = pitch * height * take.uniform(0.98, 1.02) * curve(shape_of, count)
            sound = voice(track, sample_rate, gain) + harshness * noise(take, count, sample_rate, gain)
            place(stem, sound * fades(count, sample_rate, 0.03, 0.08), time, sample_rate)
            boxes += _along(track, time, sample_rate, centres[1] + 900)
            time += count / sample_rate + gap
    return Event(stem, boxes, [], {"pitch_hz": pitch, "syllables": len(lengths)})


def sneezing(source, take, seconds, sample_rate):
    """Two or three times, if they fit: a breath in, then a burst of noise, 1 to 7 kHz, that decays.

    Evidence: each burst. The breath in, 15 to 22 dB weaker, is listed as faint.
    """
    low, high = source.uniform(900, 1800), source.uniform(5000, 6800)
    decay, inhale = source.uniform(0.06, 0.16), source.uniform(0.3, 0.6)
    breath_level, voiced = 10 ** (source.uniform(-22, -15) / 20), source.uniform(0.1, 0.7)
    pitch, formant = source.uniform(200, 420), source.uniform(600, 1100)
    mouth = resonances([formant], [400], [1.0], 0.02)
    stem, boxes, faint = np.zeros(round(seconds * sample_rate)), [], []
    for start in _starts(take, take.integers(2, 4), seconds, inhale + 3 * decay, (0.2, 0.9)):
        count = round(inhale * sample_rate)
        breath = noise(take, count, sample_rate, band(700, 3500)) * np.linspace(0, 1, count) ** 1.5
        place(stem, breath_level * breath * fades(count, sample_rate, 0.05, 0.03), start, sample_rate)
        faint.append((start, start + inhale, 700, 3500))
        burst_at, count = start + inhale, round(4 * decay * sample_rate)
        time = np.arange(count) / sample_rate
        hiss = noise(take, count, sample_rate, band(low, high))
        tail = voice(pitch * curve([1.3, 1.0, 0.8], count), sample_rate, mouth, 3000)
        burst = (hiss + voiced * tail) * np.exp(-time / decay) * np.minimum(1, time / 0.008)
        place(stem, burst * take.uniform(0.7, 1), burst_at, sample_rate)
        boxes.append((burst_at, burst_at + 2 * decay, formant - 200, 1.1 * high))
    return Event(stem, boxes, faint, {"bursts": len(boxes)})


def _throat(centres, heights, floor):
    """Two formants 800 Hz wide and little above 4 kHz."""
    formants, damping = resonances(centres, [800, 800], heights, floor), band(50, 4000, 5)
    return lambda frequency: formants(frequency) * damping(frequency)


def _starts(rng, number, seconds, length, gaps):
    """Start times of up to `number` sounds of `length` seconds that fit one after another; at least one."""
    number = max(1, min(int(number), int((seconds + gaps[0]) // (length + gaps[0]))))
    spare = max(0.0, seconds - number * length - (number - 1) * gaps[0])
    between = gaps[0] + rng.uniform(0, 1, number - 1) * min(gaps[1] - gaps[0], spare / max(1, number - 1))
    first = rng.uniform(0, max(0.0, seconds - number * length - between.sum()))
    return first + np.concatenate([[0.0], np.cumsum(length + between)])


def _along(track, start, sample_rate, high, step=0.15):
    """Boxes of about `step` seconds whose lower edge follows a pitch track [samples, Hz]."""
    pieces = np.array_split(track, max(1, round(len(track) / sample_rate / step)))
    ends = start + np.cumsum([len(piece) for piece in pieces]) / sample_rate
    return [
        (end - len(piece) / sample_rate, end, 0.85 * piece.min(), high) for piece, end in zip(pieces, ends, strict=True)
    ]

"""What every synthetic clip has besides its event: a background and a few distractors, the same for all classes."""

import numpy as np

from .signals import audible_rms, band, click, curve, drift, fades, noise, normalised, place, resonances


def background(source, take, seconds, sample_rate):
    """A background of random kind and level with distractors on it. It does not know the class.

    The generator `source` draws what all takes of a source share (kind, colour, level), `take` what differs. Given back
    are the stem [samples], between 125 and 7500 Hz, at -54 to -34 dB (root mean square, full scale 1) before
    distractors, its peak below 0.5; the kind, a key of ``KINDS``; and the root mean square without the distractors.
    """
    kind = str(source.choice(list(KINDS)))
    level = 10 ** (source.uniform(-54, -34) / 20)
    stem = KINDS[kind](source, take, round(seconds * sample_rate), sample_rate)
    stem *= level / audible_rms(stem, sample_rate)
    for _ in range(take.poisson(0.25 * seconds)):
        make = DISTRACTORS[take.integers(len(DISTRACTORS))]
        sound = make(take, sample_rate)
        sound *= level * 10 ** (take.uniform(0, 15) / 20)
        sound *= min(1.0, 0.3 / np.abs(sound).max())
        place(stem, sound, take.uniform(0, max(0.0, seconds - 0.1)), sample_rate)
    return stem * min(1.0, 0.5 / np.abs(stem).max()), kind, level


def _coloured(low_slope, high_slope):
    def make(source, take, count, sample_rate):
        slope = source.uniform(low_slope, high_slope)
        return noise(take, count, sample_rate, lambda f: np.maximum(f, 30) ** -slope)

    return make


def _hum(source, take, count, sample_rate):
    mains, tilt = source.choice([50, 60]), source.uniform(0.7, 1.3)
    time = np.arange(count) / sample_rate + take.uniform(0, 1)
    orders = np.arange(1, 16)
    tones = [
        k**-tilt * w * np.sin(2 * np.pi * mains * k * time + k) for k, w in zip(orders, source.random(15), strict=True)
    ]
    return normalised(np.sum(tones, axis=0)) + source.uniform(0.5, 1.5) * _coloured(0.4, 0.8)(
        source, take, count, sample_rate
    )


def _room(source, take, count, sample_rate):
    modes = source.uniform(150, 2500, 4)
    peaks = resonances(modes, 0.3 * modes, source.uniform(0.3, 1.0, 4), 0.1)
    return noise(take, count, sample_rate, lambda f: peaks(f) * np.maximum(f, 50) ** -0.5)


def _traffic(source, take, count, sample_rate):
    rumble = noise(take, count, sample_rate, band(40, source.uniform(300, 900), 1))
    return rumble * drift(take, count, sample_rate, source.uniform(0.3, 0.8), 0.3, 1.0)


def _wind(source, take, count, sample_rate):
    gusts = drift(take, count, sample_rate, source.uniform(0.6, 1.5), 0.2, 1.0)
    low = noise(take, count, sample_rate, band(60, source.uniform(400, 1000), 1))
    return low * gusts + 0.3 * noise(take, count, sample_rate, band(500, 3000, 1)) * gusts**2


def _tap(rng, sample_rate):
    return click(rng, sample_rate, 800, 6000, rng.uniform(0.001, 0.01), [rng.uniform(800, 5000)])


def _beep(rng, sample_rate):
    count = round(rng.uniform(0.08, 0.4) * sample_rate)
    tone = np.sin(2 * np.pi * rng.uniform(300, 3500) * np.arange(count) / sample_rate)
    return 0.5 * tone * fades(count, sample_rate, 0.01, 0.03)


def _thump(rng, sample_rate):
    count = round(0.3 * sample_rate)
    time = np.arange(count) / sample_rate
    pitch = rng.uniform(80, 250) * curve([1.3, 1.0, 0.9], count)
    return np.sin(2 * np.pi * np.cumsum(pitch) / sample_rate) * np.exp(-time / 0.06) * np.minimum(1, time / 0.005)


def _rustle(rng, sample_rate):
    count = round(rng.uniform(0.1, 0.5) * sample_rate)
    low = rng.uniform(300, 2000)
    return noise(rng, count, sample_rate, band(low, low * rng.uniform(1.5, 4), 2)) * fades(
        count, sample_rate, 0.05, 0.08
    )


#: The backgrounds by name; each takes (source generator, take generator, samples, sample rate).
KINDS = {
    "white noise": _coloured(0.0, 0.2),
    "pink noise": _coloured(0.4, 0.6),
    "brown noise": _coloured(0.8, 1.2),
    "hum": _hum,
    "room tone": _room,
    "traffic": _traffic,
    "wind": _wind,
}

#: Short sounds that occur in every class; each takes (generator, sample rate).
DISTRACTORS = (_tap, _beep, _thump, _rustle)

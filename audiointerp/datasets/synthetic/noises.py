"""The six events that are machines, weather, water and fire.

Each takes two generators - one for what stays the same in all takes of a source (timbre, rate), one for what changes
from take to take (timing, level, the noise itself) - and returns an :class:`~audiointerp.datasets.signals.Event`.
"""

import numpy as np
from scipy.ndimage import uniform_filter1d

from .signals import Event, band, click, drift, noise, normalised, place, pulses, resonances, shape


def clock_tick(source, take, seconds, sample_rate):
    """Regular clicks, 1 to 4 a second, tick and tock of different timbre. Evidence: each click."""
    rate = np.exp(source.uniform(np.log(1.2), np.log(4.0)))
    decay = source.uniform(0.004, 0.014)
    tones = np.sort(source.uniform(1500, 4500, 3))
    lower, weaker = source.uniform(0.75, 0.95), source.uniform(0.4, 1.0)
    sounds = [
        click(source, sample_rate, 0.8 * tones[0], 1.2 * tones[-1], decay, tones),
        weaker * click(source, sample_rate, 0.8 * lower * tones[0], 1.2 * lower * tones[-1], decay, lower * tones),
    ]
    low, high = 0.8 * lower * tones[0], 1.25 * tones[-1]
    stem, boxes = np.zeros(round(seconds * sample_rate)), []
    for number, time in enumerate(np.arange(take.uniform(0.02, 1 / rate), seconds - 0.03, 1 / rate)):
        start = time + take.normal(0, 0.001)
        place(stem, sounds[number % 2] * take.uniform(0.85, 1.0), start, sample_rate)
        boxes.append((start, start + 4 * decay, low, high))
    return Event(stem, boxes, [], {"pulse_rate_hz": rate})


def rain(source, take, seconds, sample_rate):
    """Steady hiss between 1 and 7 kHz with dense droplets. Evidence: the band of both, all the time."""
    low, high = source.uniform(1100, 2000), source.uniform(5000, 6800)
    drop_rate = np.exp(source.uniform(np.log(60), np.log(400)))
    count = round(seconds * sample_rate)
    decays, tones = source.uniform(0.001, 0.004, 40), source.uniform(1.2 * low, 0.9 * high, 40)
    kinds = [click(source, sample_rate, low, high, *pair) for pair in zip(decays, tones[:, None], strict=True)]
    drops = np.zeros(count)
    for time in take.uniform(0, seconds, take.poisson(drop_rate * seconds)):
        place(drops, kinds[take.integers(len(kinds))] * take.lognormal(-1.0, 0.6), time, sample_rate)
    hiss = noise(take, count, sample_rate, band(low, high))
    stem = hiss + source.uniform(0.4, 1.4) * normalised(drops)
    stem *= drift(take, count, sample_rate, 1, 0.8, 1.0)
    return Event(stem, [(0, seconds, 0.9 * low, 1.1 * high)], [], {"drop_rate_hz": drop_rate})


def helicopter(source, take, seconds, sample_rate):
    """Blade pulses, 10 to 30 a second, most of their energy between 60 and 600 Hz, and a faint blade slap above.

    Evidence: the low pulses. The slap repeats with them up to 5 kHz but is 10 to 22 dB weaker: it is listed as faint,
    so that whoever scores a map can say whether a network uses it, or leaves it aside.
    """
    rate = np.exp(source.uniform(np.log(10), np.log(30)))
    high, slap_level = source.uniform(350, 550), source.uniform(-22, -10)
    sharpness, slap_band = source.uniform(2, 6), (source.uniform(1000, 1800), source.uniform(3500, 5000))
    count = round(seconds * sample_rate)
    wobble = rate * drift(take, count, sample_rate, 1, 0.99, 1.01)
    start_phase = take.uniform(0, 2 * np.pi)
    blades = pulses(wobble, sample_rate, sharpness, start_phase)
    body = noise(take, count, sample_rate, band(90, high)) * blades
    body = normalised(shape(body, sample_rate, band(60, high)))
    slap = noise(take, count, sample_rate, band(*slap_band)) * pulses(wobble, sample_rate, 20, start_phase)
    distance = drift(take, count, sample_rate, 0.6, 0.5, 1.0)
    stem = distance * (body + 10 ** (slap_level / 20) * normalised(slap))
    evidence, faint = [(0, seconds, 60, 1.15 * high)], [(0, seconds, slap_band[0], slap_band[1])]
    return Event(stem, evidence, faint, {"pulse_rate_hz": rate, "slap_db": slap_level})


def chainsaw(source, take, seconds, sample_rate):
    """A two-stroke buzz, 60 Hz idling to 200 Hz revving, with noise up to 5 kHz. Evidence: the buzz.

    While the engine revs the evidence reaches up to the noise; while it idles only the lower, weaker buzz counts.
    """
    idle, full = source.uniform(45, 80), source.uniform(110, 200)
    centres = [source.uniform(250, 600), source.uniform(900, 1800), source.uniform(2200, 3200)]
    body = resonances(centres, [400, 700, 1200], [1.0, source.uniform(0.4, 0.9), source.uniform(0.1, 0.3)], 0.02)
    hiss_level, top = source.uniform(0.2, 0.5), source.uniform(3000, 4500)
    count = round(seconds * sample_rate)
    edges, throttle = _throttle(take, seconds, sample_rate)
    speed = (idle + (full - idle) * throttle) * drift(take, count, sample_rate, 20, 0.97, 1.03)
    buzz = pulses(speed, sample_rate, 50) * (1 + 0.35 * np.cos(np.pi * np.cumsum(speed) / sample_rate))
    buzz -= buzz.mean()
    buzz = normalised(shape(buzz, sample_rate, lambda f: body(f) * band(80, top)(f)))
    hiss = noise(take, count, sample_rate, band(800, top)) * pulses(speed, sample_rate, 1.5) * throttle
    stem = (buzz + hiss_level * normalised(hiss)) * (0.4 + 0.6 * throttle)
    reach = max(centres[1] + 700, 0.7 * top)
    evidence = [(start, stop, idle, reach) for start, stop, revving in edges if revving]
    evidence += [(start, stop, idle, centres[1] + 350) for start, stop, revving in edges if not revving]
    return Event(stem, evidence, [], {"idle_hz": idle, "full_hz": full})


def _throttle(rng, seconds, sample_rate):
    """Stretches ``(start, stop, revving)`` and the throttle they make, a curve [samples] between 0 and 1."""
    edges, time, revving = [], 0.0, bool(rng.random() < 0.5)
    while time < seconds:
        length = rng.uniform(0.6, 2.0) if revving else rng.uniform(0.4, 1.2)
        edges.append((time, min(time + length, seconds), revving))
        time, revving = time + length, not revving
    if not any(revving for _, _, revving in edges):
        edges = [(start, stop, True) for start, stop, _ in edges]
    count = round(seconds * sample_rate)
    times = np.arange(count) / sample_rate
    steps = np.zeros(count)
    for start, stop, revving in edges:
        if revving:
            steps[(times >= start) & (times < stop)] = rng.uniform(0.7, 1.0)
    width = round(rng.uniform(0.1, 0.3) * sample_rate)
    return edges, uniform_filter1d(uniform_filter1d(steps, width, mode="nearest"), width, mode="nearest")


def crackling_fire(source, take, seconds, sample_rate):
    """Irregular snaps, 4 to 40 a second, of very different strength over a low roar. Evidence: the louder snaps.

    The snaps that together make 97 % of the snaps' energy count as evidence; the roar is listed as faint.
    """
    rate = np.exp(source.uniform(np.log(5), np.log(35)))
    low, high, spread = source.uniform(900, 2000), source.uniform(5000, 6800), source.uniform(0.7, 1.1)
    roar_level, roar_high = source.uniform(-20, -13), source.uniform(250, 450)
    count = round(seconds * sample_rate)
    stem, snaps = np.zeros(count), []
    for time in np.sort(take.uniform(0, seconds - 0.02, max(3, take.poisson(rate * seconds)))):
        decay, height = take.uniform(0.001, 0.007), take.lognormal(0, spread)
        sound = height * click(take, sample_rate, low, high, decay, [take.uniform(1.1 * low, 0.8 * high)])
        place(stem, sound, time, sample_rate)
        snaps.append((np.sum(sound**2), (time, time + 4 * decay, 0.85 * low, 1.1 * high)))
    snaps.sort(key=lambda snap: -snap[0])
    energy = np.cumsum([power for power, _ in snaps])
    loud = int(np.searchsorted(energy, 0.97 * energy[-1])) + 1
    roar = noise(take, count, sample_rate, band(90, roar_high)) * drift(take, count, sample_rate, 5, 0.5, 1.0)
    stem = normalised(stem) + 10 ** (roar_level / 20) * normalised(roar)
    faint = [(0, seconds, 90, roar_high)]
    return Event(stem, [box for _, box in snaps[:loud]], faint, {"snap_rate_hz": rate})


def sea_waves(source, take, seconds, sample_rate):
    """Swells of noise up to 3 kHz, one every 3 to 8 s, brighter where they break. Evidence: each swell."""
    period, high = source.uniform(3, 8), source.uniform(1800, 3200)
    rise, brightness = source.uniform(0.3, 0.5), source.uniform(0.6, 1.2)
    count = round(seconds * sample_rate)
    crest = take.uniform(0.15, 0.85) * min(seconds, period)
    times = np.arange(count) / sample_rate
    swell, boxes = np.full(count, 0.12), []
    for time in np.arange(crest - period, seconds + period, period):
        begin, length = time - rise * period, period * take.uniform(0.85, 1.0)
        inside = (times >= begin) & (times < begin + length)
        position = (times[inside] - begin) / length
        height = np.interp(position, [0, rise, 1], [0, 0.5, 1])
        swell[inside] = 0.12 + 0.88 * take.uniform(0.8, 1.0) * np.sin(np.pi * height) ** 2
        boxes.append((begin + 0.35 * rise * length, begin + length * (1 - 0.35 * (1 - rise)), 130, 1.1 * high))
    deep = noise(take, count, sample_rate, band(130, 700, 2)) * swell
    foam = noise(take, count, sample_rate, band(500, high)) * swell**1.6
    return Event(deep + brightness * foam, boxes, [], {"period_s": period})

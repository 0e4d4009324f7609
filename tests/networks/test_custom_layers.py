import json
from dataclasses import asdict, replace

import keras
import numpy as np

from audiointerp.networks.custom_layers import ClassScores, ScaleWaveform
from audiointerp.sound.frontend import SOUNDNET, VGGISH, WaveformFrontEnd

LABELS = ["dog", "crying baby", "Türklingel"]


# Networks on waveforms

HEARD = WaveformFrontEnd(sample_rate=22_050, scale=64.0, shortest=9_000, longest=None, channel=None)


def test_waveforms_are_scaled_by_the_front_end(rng):
    x = rng.normal(size=(2, 50, 1)).astype(np.float32)
    for scale in (1.0, 256.0):
        layer = ScaleWaveform(replace(HEARD, scale=scale))
        np.testing.assert_allclose(layer(x), scale * x, rtol=1e-6)
        assert layer.compute_output_shape((None, None, 1)) == (None, None, 1)
        assert not layer.weights
    inputs = keras.Input((None, 1))
    assert keras.Model(inputs, ScaleWaveform(HEARD)(inputs)).output_shape == (None, None, 1)


def test_layers_may_be_made_of_settings():
    for frontend in (HEARD, SOUNDNET, VGGISH):
        scores = ClassScores(LABELS, asdict(frontend))
        assert scores.frontend == frontend and type(scores.frontend) is type(frontend)
        again = ClassScores.from_config(json.loads(json.dumps(scores.get_config())))
        assert (again.labels, again.frontend, again.name) == (LABELS, frontend, "scores")
    layer = ScaleWaveform(asdict(HEARD))
    assert layer.frontend == HEARD
    assert ScaleWaveform.from_config(json.loads(json.dumps(layer.get_config()))).frontend == HEARD

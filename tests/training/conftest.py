"""What the tests of training share: a training that breaks off."""

import keras
import pytest


@pytest.fixture
def interrupt(monkeypatch):
    """Function that has training break off, once, after so many batches; it gives a list with an entry for each."""

    def arm(after):
        taken, stop, original = [], [after], keras.Model.train_on_batch

        def step(self, *arguments, **options):
            if len(taken) in stop:
                stop.clear()
                raise RuntimeError("interrupted")
            taken.append(1)
            return original(self, *arguments, **options)

        monkeypatch.setattr(keras.Model, "train_on_batch", step)
        return taken

    return arm

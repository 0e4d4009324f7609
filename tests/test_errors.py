import inspect

import pytest

from audiointerp import errors


@pytest.mark.parametrize("name", [name for name, thing in vars(errors).items() if inspect.isclass(thing)])
def test_every_error_is_one_of_the_package_and_says_when_it_is_raised(name):
    kind = getattr(errors, name)
    assert kind.__doc__ and issubclass(kind, errors.AudioInterpError | UserWarning)
    with pytest.raises(kind, match="a text"):
        raise kind("a text")

import joblib
import numpy as np
import pytest

from audiointerp.storage.cache import cached, write_whole


def counting(version=1, **options):
    """A cached function, and the arguments that it was really called with."""
    asked = []

    @cached("squares", version=version, **options)
    def square(number, power=2, *, progress=True):
        asked.append(number)
        return np.float64(number) ** power

    return square, asked


def files(own_cache):
    return sorted((own_cache / "squares").iterdir()) if (own_cache / "squares").is_dir() else []


def test_the_second_time_comes_from_the_cache(own_cache):
    square, asked = counting(ignore=("progress",))
    assert square(3) == square(3, progress=False) == square(number=3, power=2) == 9
    assert asked == [3] and len(files(own_cache)) == 1
    assert square(3, 3) == 27 and square(4) == 16
    assert asked == [3, 3, 4] and len(files(own_cache)) == 3


def test_arguments_that_are_not_ignored_count(own_cache):
    square, asked = counting()
    square(3)
    square(3, progress=False)
    assert asked == [3, 3]


def test_another_version_is_computed_anew(own_cache):
    counting(version=1)[0](3)
    square, asked = counting(version=2)
    assert square(3) == 9 and asked == [3] and len(files(own_cache)) == 2


def test_functions_do_not_share_results(own_cache):
    square, _ = counting()

    @cached("squares", version=1)
    def cube(number, power=2, *, progress=True):
        return number**3

    assert square(3) == 9 and cube(3) == 27


def test_without_the_cache_nothing_is_kept_or_served(own_cache):
    square, asked = counting()
    square(3)
    assert square(3, cache=False) == 9 and asked == [3, 3] and len(files(own_cache)) == 1
    counting(version=2)[0](3, cache=False)
    assert len(files(own_cache)) == 1


def test_a_damaged_result_is_computed_again_and_said(own_cache, capsys):
    square, asked = counting()
    square(3)
    files(own_cache)[0].write_bytes(b"not a result")
    assert square(3) == 9 and asked == [3, 3]
    assert "cannot be read" in capsys.readouterr().out
    assert square(3) == 9 and asked == [3, 3]


def test_a_failure_leaves_nothing_half_written(own_cache, monkeypatch):
    square, _ = counting()

    def half(result, path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(joblib, "dump", half)
    with pytest.raises(OSError, match="No space"):
        square(3)
    assert files(own_cache) == []


def test_an_error_of_the_function_is_not_kept(own_cache):
    @cached("squares", version=1)
    def fails(number):
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        fails(1)
    assert files(own_cache) == []


def test_only_arguments_can_be_ignored():
    with pytest.raises(TypeError, match="no arguments speed to ignore"):

        @cached("squares", version=1, ignore=("speed",))
        def square(number):
            return number**2


def test_written_whole_or_not_at_all(tmp_path):
    target = tmp_path / "deep" / "file.txt"
    write_whole(target, lambda path: path.write_text("first"))
    assert target.read_text() == "first"

    def breaks(path):
        path.write_text("second, half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(target, breaks)
    assert target.read_text() == "first" and [path.name for path in target.parent.iterdir()] == ["file.txt"]

"""Results that can be made again, kept in the cache; and files written whole or not at all."""

import functools
import inspect
import os
import tempfile
from pathlib import Path

import joblib

from .fingerprints import fingerprint_or_warn
from .folders import cache_folder


def cached(room, *, version, ignore=()):
    """Decorator: results of a function are kept in the cache and served from there.

    A result is kept under the function's name, its version and its arguments, those in `ignore` left out. A user's own
    functions and classes among them count with their code; where that cannot be told, a UserWarning says so and nothing
    is kept. The decorated function takes one more option, ``cache``: False computes anew and keeps nothing.

    Parameters
    ----------
    room : str
        Folder inside the cache.
    version : int
        Goes up whenever the function, or what it calls, gives other results than before.
    ignore : sequence of str
        Arguments that have no bearing on the result, or whose fingerprint is another argument.

    Returns
    -------
    callable

    Examples
    --------
    >>> @cached("squares", version=1, ignore=("progress",))
    ... def square(number, progress=True):
    ...     return number**2
    >>> square(3, cache=False)
    9
    """

    def decorate(function):
        signature = inspect.signature(function)
        if unknown := set(ignore) - set(signature.parameters):
            raise TypeError(f"{function.__qualname__} has no arguments {', '.join(sorted(unknown))} to ignore.")

        @functools.wraps(function)
        def run(*args, cache=True, **options):
            if not cache:
                return function(*args, **options)
            given = signature.bind(*args, **options)
            given.apply_defaults()
            known = {name: value for name, value in given.arguments.items() if name not in ignore}
            name = f"{function.__module__}.{function.__qualname__}"
            if (key := fingerprint_or_warn([name, version, known])) is None:
                return function(*args, **options)
            path = cache_folder(room) / f"{key}.joblib"
            if path.is_file():
                try:
                    return joblib.load(path)
                except Exception as error:
                    print(f"A result in the cache ({room}) cannot be read ({error}); it is computed again.")
            result = function(*args, **options)
            write_whole(path, lambda temporary: joblib.dump(result, temporary))
            return result

        return run

    return decorate


def write_whole(path, write):
    """Write to a path by `write`, which takes a temporary file beside it that is then renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".") as folder:
        temporary = Path(folder) / path.name
        write(temporary)
        os.replace(temporary, path)

"""Fingerprints of what a result depends on: of values, and of the code of a user's own functions and classes."""

import dis
import functools
import sys
import types
import warnings
from dataclasses import asdict, is_dataclass
from pathlib import Path

from joblib.hashing import NumpyHasher

CALLS_ANYTHING = {"eval", "exec", "globals", "__import__"}


class Unknown(Exception):
    """Stands for the fingerprint of what cannot be told; whatever holds it has none either."""


def fingerprint(thing):
    """Fingerprint of a value, in any process the same.

    A function or class of the user's own counts with its code and all that it reaches: constants, defaults, closures,
    globals, helper functions, base classes, attributes. One of Python, of an installed package or of this one counts
    with its name. An `Unknown` is returned if something cannot be told.
    """
    try:
        return _Hasher().hash(thing)
    except Unknown as unknown:
        return unknown


def fingerprint_or_warn(thing):
    """Fingerprint of a key; None, with a UserWarning, if something in it cannot be told."""
    found = fingerprint(thing)
    if not isinstance(found, Unknown):
        return found
    warnings.warn(f"a result is not kept in the cache, but computed anew each time: {found}.", stacklevel=4)
    return None


def is_own(thing):
    """Whether a function, class or module is the user's: not of Python, of an installed package or of this one."""
    name = thing.__name__ if isinstance(thing, types.ModuleType) else getattr(thing, "__module__", None) or ""
    top = name.split(".")[0]
    if top in sys.stdlib_module_names or top == __name__.split(".")[0]:
        return False
    file = getattr(sys.modules.get(name) or sys.modules.get(top), "__file__", None)
    return file is None or not {"site-packages", "dist-packages"} & set(Path(file).parts)


def settings_of(thing):
    """A dataclass of this package as a dictionary; a thing that was not made here as it is, to count with its code."""
    return thing if is_own(type(thing)) or not is_dataclass(thing) else asdict(thing)


@functools.singledispatch
def parts(thing):
    """What a thing is told by where that is not its name or its pickle; NotImplemented otherwise."""
    if "__wrapped__" in getattr(thing, "__dict__", ()) and is_own(thing.__wrapped__):
        return [thing.__wrapped__]
    for kind in (list, dict, set):  # as Keras keeps them in layers
        if isinstance(thing, kind) and type(thing).__module__.startswith("keras."):
            return [kind(thing)]
    return NotImplemented


@parts.register
def _(thing: Unknown):
    raise thing


@parts.register
def _(thing: types.FunctionType):
    if not is_own(thing) and "<" not in thing.__qualname__:
        return NotImplemented
    closure = [cell.cell_contents for cell in thing.__closure__ or () if cell != types.CellType()]
    return [_text(thing.__code__), thing.__defaults__, thing.__kwdefaults__, closure, _reached(thing), vars(thing)]


@parts.register
def _(thing: type):
    if not is_own(thing):
        return NotImplemented
    methods = (types.FunctionType, staticmethod, classmethod, property)
    names = {each for each in vars(thing) if not each.startswith(("__", "_abc_")) or each == "__slots__"}
    names |= {each for each, value in vars(thing).items() if isinstance(value, methods)}
    return [thing.__qualname__, type(thing), thing.__bases__, {name: vars(thing)[name] for name in names}]


@parts.register(staticmethod)
@parts.register(classmethod)
def _(thing):
    return [thing.__func__]


@parts.register
def _(thing: property):
    return [thing.fget, thing.fset, thing.fdel]


@parts.register(types.MemberDescriptorType)
@parts.register(types.GetSetDescriptorType)
def _(thing):
    return [thing.__name__]


@parts.register
def _(thing: functools.cached_property):
    return [thing.func]


@parts.register
def _(thing: frozenset):
    return sorted(thing, key=repr)


@parts.register
def _(thing: types.ModuleType):
    if is_own(thing):
        raise Unknown(f"it depends on all of module '{thing.__name__}'")
    return [thing.__name__, getattr(thing, "__version__", None)]


class _Parts:
    """Stands in a fingerprint for a thing that is told by its parts."""


class _Hasher(NumpyHasher):
    def save(self, thing):
        try:
            super().save(thing)
        except Unknown:
            raise
        except Exception as error:  # at once: joblib takes some errors for keys of a dictionary without an order
            raise Unknown(f"it depends on something whose value cannot be told ({error})") from error

    def reducer_override(self, thing):
        found = parts(thing)
        # As a state, which is taken after the thing is known: a function may reach itself.
        return found if found is NotImplemented else (_Parts, (type(thing).__name__,), found)


def _text(code):
    """What a function's code does, without file and lines."""
    constants = [
        _text(each)
        if isinstance(each, types.CodeType)
        else repr(sorted(each, key=repr))
        if isinstance(each, frozenset)
        else repr(each)
        for each in code.co_consts
    ]
    numbers = code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount, code.co_flags
    names = code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars
    return repr((code.co_code, getattr(code, "co_exceptiontable", b""), numbers, names, constants))


def _names(code):
    """Globals and modules that code asks for, with the functions inside it; and all names and texts in it."""
    steps = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS", "IMPORT_NAME"}
    asked = {step.argval for step in dis.get_instructions(code) if step.opname in steps}
    every = {*code.co_names, *(each for each in code.co_consts if isinstance(each, str))}
    for inner in code.co_consts:
        if isinstance(inner, types.CodeType):
            asked, every = (one | two for one, two in zip((asked, every), _names(inner), strict=True))
    return asked, every


def _reached(function):
    """Globals and modules that a function reaches, by name; of a user's module what the function asks of it."""
    asked, every = _names(function.__code__)
    if unclear := CALLS_ANYTHING & asked - set(function.__globals__):
        raise Unknown(f"what function '{function.__qualname__}' does cannot be told: it uses {min(unclear)}()")
    package = function.__globals__.get("__package__")
    known = {f"{package}.{name}".rstrip("."): name for name in asked} | {name: name for name in asked}
    found = {name: sys.modules[name] for name in known if name in sys.modules}
    found |= {name: function.__globals__[name] for name in asked if name in function.__globals__}
    return {name: _within(value, every) for name, value in found.items()}


def _within(thing, names, seen=()):
    """A thing; of a user's module, what has one of the names in it, and of modules in it likewise."""
    if not isinstance(thing, types.ModuleType) or not is_own(thing):
        return thing
    if thing in seen:
        return thing.__name__
    seen = (*seen, thing)
    return {name: _within(value, names, seen) for name, value in vars(thing).items() if name in names}

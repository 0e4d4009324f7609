"""The errors and the one warning of the package.

Every error says what was found, where, what was expected and what to do about it.
"""


class AudioInterpError(Exception):
    """Root of all errors of this package."""


class UnreadableAudioError(AudioInterpError):
    """A sound file that cannot be used: not audio, empty, truncated, too long, not a number."""


class MissingDataError(AudioInterpError):
    """A folder, a file or a class that should be there is not, or a download did not arrive."""


class ChecksumError(AudioInterpError):
    """A file is not the one that was published, or an archive is not safe to unpack."""


class WeightsError(AudioInterpError):
    """Weights that do not fit the network they are meant for, or with which it gives no numbers."""


class PatchShapeError(AudioInterpError):
    """A network and its patches do not fit each other."""


class UnknownLabelError(AudioInterpError):
    """A class name that the network or the table does not know."""


class CacheError(AudioInterpError):
    """The cache folder cannot be used."""


class AudioRepairWarning(UserWarning):
    """A sound was usable only after a repair; the text says which."""

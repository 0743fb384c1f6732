"""Errors a user can meet, each with the exit code of the command line.

Every message is one sentence that names the cause and the way out.  The command line prints it
without a traceback and exits with ``exit_code``; in Python the class tells what went wrong.
"""

from __future__ import annotations


class AdaFuseError(Exception):
    """Base class: the input is wrong or a check failed (exit code 1)."""

    exit_code = 1

    def __init__(self, message: str) -> None:
        # PyTorch re-raises an error of a data loading process with the whole traceback as its
        # message; the sentence is what follows the class name at the end.
        if "Original Traceback" in message:
            message = message.rstrip().rpartition(f"{type(self).__name__}: ")[2]
        super().__init__(message)


class InputError(AdaFuseError):
    """A file, flag or array given by the user cannot be used (exit code 1)."""


class CheckFailed(AdaFuseError):
    """A verification ran and its result is outside the thresholds (exit code 1)."""


class NotFiniteError(AdaFuseError):
    """A network answered finite input with NaN or infinity (exit code 1)."""


class MissingDependencyError(AdaFuseError, ImportError):
    """An optional runtime, package or operator library is not installed (exit code 3).

    It is an :class:`ImportError` too, for programs that try a name and do without it.
    """

    exit_code = 3


class IncompatibleArtifactError(AdaFuseError):
    """An engine or graph was made for other versions, hardware or operators (exit code 4)."""

    exit_code = 4


class OtherMachineError(IncompatibleArtifactError):
    """A sound engine, but for another GPU or version of its runtime (exit code 4)."""


class InputWarning(UserWarning):
    """Something about the input that a user should know, though it can be used.

    The command line prints the sentence on standard error.
    """

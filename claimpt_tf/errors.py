"""Errors a person can act on: the command line prints them without a traceback."""


class ClaimPTError(Exception):
    """What is wrong, where (file, row, column), and what to do about it."""

    exit_code = 2


class InputError(ClaimPTError):
    """The claims tables cannot be read as they are."""


class TaskError(ClaimPTError):
    """The task file is wrong, or it matches too few members."""


class ArtifactError(ClaimPTError):
    """A record, vocabulary, checkpoint or model of another kind than expected."""


class GateError(ClaimPTError):
    """The model was trained but not released."""

    exit_code = 3


class TrainingError(ClaimPTError):
    """Training went wrong and cannot go on as it is."""

"""The errors a user can cause and mend. Anything else is our defect and keeps its traceback."""


class MedsegError(ValueError):
    """Something the user gave cannot be used; the message is one line: value, rule, remedy."""


class SettingsError(MedsegError):
    """A setting or a command-line argument is wrong; nothing was started."""


class ScanError(MedsegError):
    """One scan cannot be used; the others can."""


class TrainingError(MedsegError):
    """Training began and could not be finished."""

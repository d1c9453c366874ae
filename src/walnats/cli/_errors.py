"""The error of the command line."""


class CommandError(Exception):
    """What a command can't do; the text says why and what to do."""

"""Settings that cannot be meant."""


class SettingError(ValueError):
    """A setting in the environment cannot be used; the message names it, what was found and what was expected."""

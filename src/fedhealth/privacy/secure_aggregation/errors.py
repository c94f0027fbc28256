"""The errors of secure aggregation."""


class SecureAggregationError(Exception):
    """A node or the server refused to go on; the message names who, what was found and what was expected."""


class UnfitError(SecureAggregationError):
    """A node's values cannot be summed; the message tells of them, and is for the node's own terminal."""

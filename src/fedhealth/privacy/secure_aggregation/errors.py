"""The one error of secure aggregation."""


class SecureAggregationError(Exception):
    """A node or the server refused to go on; the message names who, what was found and what was expected."""

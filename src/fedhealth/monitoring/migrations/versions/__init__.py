"""One file for each version of the store, in order."""

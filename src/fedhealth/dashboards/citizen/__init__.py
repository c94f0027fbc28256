"""The citizen page: readings in, a risk in plain words, air advice and safety rules."""

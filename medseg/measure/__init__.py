"""A case -> its facts: measured once, kept by content."""

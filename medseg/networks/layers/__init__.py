"""Building blocks for any number of spatial axes."""

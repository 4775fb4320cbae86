"""Label maps against reference label maps -> metrics."""

"""What checks annotations while tests run; pyproject names the rooms."""

from beartype import BeartypeConf, beartype

checked = beartype(conf=BeartypeConf(is_pep484_tower=True))  # an int may be given for a float

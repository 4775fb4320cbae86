"""Pictures as viewers show them: the orientation tag of EXIF and TIFF."""

from typing import Any

import numpy.typing as npt


def upright(picture: npt.NDArray[Any], orientation: int) -> npt.NDArray[Any]:
    """Turn (rows, columns, ...) as tag 274 says (a view).

    Args:
        picture: Pixels as stored.
        orientation: 1 to 8; anything else is as 1, which leaves them.
    """
    if not 1 < orientation <= 8:
        return picture
    turned = picture.swapaxes(0, 1) if orientation >= 5 else picture
    rows = -1 if orientation in (3, 4, 7, 8) else 1
    columns = -1 if orientation in (2, 3, 6, 7) else 1
    return turned[::rows, ::columns]


def upright_size(rows: int, columns: int, orientation: int) -> tuple[int, int]:
    """Rows and columns once it is turned."""
    return (columns, rows) if 5 <= orientation <= 8 else (rows, columns)

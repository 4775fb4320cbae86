"""The frames of one DICOM file, decoded one at a time."""

from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from medseg.errors import ScanError
from medseg.scans.dicom.codestream import stated_size
from medseg.scans.dicom.header import PALETTE, CappedFile, check_inflated

if TYPE_CHECKING:
    from pydicom import Dataset
    from pydicom.uid import UID

Array = npt.NDArray[Any]
_PIXELS = (
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PlanarConfiguration"),
    *("NumberOfFrames", "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation"),
    *("PixelData", "ExtendedOffsetTable", "ExtendedOffsetTableLengths", "ModalityLUTSequence"),
    *PALETTE,
)


def decoded_frames(path: Path) -> Generator[tuple[Array, "Dataset"], None, None]:
    """All frames of a file, in order: (rows, columns) or (rows, columns, 3), and its pixel header.

    To be called within `reading`.

    Raises:
        ScanError: If its compression cannot be undone here, or holds another picture than the
            header announces.
    """
    import pydicom
    from pydicom.pixels.utils import iter_pixels

    with CappedFile(path) as file:
        check_inflated(path, file)
        header = pydicom.dcmread(
            file, stop_before_pixels=True, force=True, specific_tags=list(_PIXELS)
        )
        syntax = _syntax(header)
        _check_decodable(path, syntax)
        file.seek(0)
        if not (syntax.is_encapsulated or syntax.is_deflated):
            # Straight from the disk, frame by frame.
            frames: Any = iter_pixels(file, transfer_syntax_uid=syntax)
        else:
            header = pydicom.dcmread(file, force=True, specific_tags=list(_PIXELS))
            header.file_meta.TransferSyntaxUID = syntax
            if syntax.is_encapsulated:
                _check_stated(path, header)
            frames = iter_pixels(header)
        count = int(header.get("NumberOfFrames") or 1)
        with closing(frames):  # before the file is
            for _, frame in zip(range(count), frames, strict=False):
                yield frame, header


def as_measured(frame: Array, header: "Dataset") -> Array:
    """A frame through the table that says what stored values mean."""
    from pydicom.pixels.processing import apply_modality_lut

    return np.asarray(apply_modality_lut(frame, header))


def as_colours(frame: Array, header: "Dataset") -> Array:
    """A frame of palette indices (rows, columns) as (rows, columns, 3)."""
    from pydicom.pixels.processing import apply_color_lut

    return np.asarray(apply_color_lut(frame, header))


def _syntax(header: "Dataset") -> "UID":
    """How a file is encoded; where it does not say, as it was found to be."""
    from pydicom.uid import (
        UID,
        ExplicitVRBigEndian,
        ExplicitVRLittleEndian,
        ImplicitVRLittleEndian,
    )

    stated = header.file_meta.get("TransferSyntaxUID") if hasattr(header, "file_meta") else None
    if stated:
        return UID(stated)
    implicit, little = header.original_encoding
    if implicit:
        return ImplicitVRLittleEndian
    return ExplicitVRLittleEndian if little else ExplicitVRBigEndian


def _check_decodable(path: Path, syntax: "UID") -> None:
    from pydicom.pixels.decoders.base import get_decoder

    from medseg.scans.dicom.codecs import register

    register()
    # Named by its dictionary entry: an unknown one is a number that tells nobody anything.
    name = syntax.name if syntax.name != str(syntax) else "an unknown transfer syntax"
    try:
        decoder = get_decoder(syntax)
    except NotImplementedError:
        what = f"compressed as {name}, which is not read"
        remedy = "export it uncompressed (a film: as single images)"
        raise ScanError(path.name, what, remedy) from None
    if not decoder.is_available:
        what = f"compressed as {name}, for which no decoder is installed"
        raise ScanError(path.name, what, 'pip install "medseg[dicom]", or export it uncompressed')


def _check_stated(path: Path, header: "Dataset") -> None:
    """A picture larger than announced would take memory that nobody checked."""
    from pydicom.encaps import generate_frames

    rows, columns = int(header.Rows), int(header.Columns)
    count = int(header.get("NumberOfFrames") or 1)
    for _, stream in zip(
        range(count), generate_frames(header.PixelData, number_of_frames=count), strict=False
    ):
        stated = stated_size(stream)
        if stated is not None and stated != (rows, columns):
            what = (
                f"its compressed picture has {stated[1]}x{stated[0]} pixels, "
                f"its header announces {columns}x{rows}"
            )
            raise ScanError(path.name, what, "export it again")

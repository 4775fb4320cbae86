"""Decoders that every installation has, for where pydicom has none of its own: imagecodecs'.

Written as pydicom asks its plug-ins to be; `register` adds them behind those that are there.
"""

from threading import Lock
from typing import TYPE_CHECKING

import imagecodecs
import numpy as np
from pydicom.pixels.decoders.base import get_decoder
from pydicom.uid import (
    JPEG2000,
    UID,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
)

if TYPE_CHECKING:
    from pydicom.pixels.decoders.base import DecodeRunner

_LOSSY = (JPEGBaseline8Bit, JPEGExtended12Bit)
_LOSSLESS = (JPEGLossless, JPEGLosslessSV1)
_JPEG_LS = (JPEGLSLossless, JPEGLSNearLossless)
_JPEG_2000 = (JPEG2000Lossless, JPEG2000)
_LOCK = Lock()
DECODER_DEPENDENCIES = dict.fromkeys(
    (*_LOSSY, *_LOSSLESS, *_JPEG_LS, *_JPEG_2000), ("imagecodecs",)
)
"""Asked for by pydicom."""


def is_available(uid: str) -> bool:
    """Asked by pydicom: whether a transfer syntax is decoded here."""
    return uid in DECODER_DEPENDENCIES


def decode_frame(src: bytes, runner: "DecodeRunner") -> bytearray:
    """One frame as the bytes that its header announces.

    Raises:
        ValueError: If this is left to other decoders.
    """
    syntax = runner.transfer_syntax
    if syntax in _LOSSY:
        if runner.samples_per_pixel > 1:  # of which colours JPEG holds is for others to say
            raise ValueError("colours")
        decoded = imagecodecs.jpeg_decode(src)
    elif syntax in _LOSSLESS:
        decoded = imagecodecs.jpegsof3_decode(src)
    elif syntax in _JPEG_LS:
        decoded = imagecodecs.jpegls_decode(src)
    else:
        decoded = imagecodecs.jpeg2k_decode(src)
        if str(runner.photometric_interpretation) in ("YBR_RCT", "YBR_ICT"):
            runner.set_option("photometric_interpretation", "RGB")
    if runner.samples_per_pixel > 1:
        runner.set_option("planar_configuration", 0)
    size = runner.bits_allocated // 8
    signed = decoded.astype(np.int64) if decoded.dtype.itemsize != size else decoded
    return bytearray(np.ascontiguousarray(signed).astype(f"<u{size}").tobytes())


def register() -> None:
    """Tell pydicom, once."""
    with _LOCK:
        for syntax in DECODER_DEPENDENCIES:
            decoder = get_decoder(UID(syntax))
            if "medseg" not in decoder.available_plugins:
                decoder.add_plugin("medseg", (__name__, decode_frame.__name__))

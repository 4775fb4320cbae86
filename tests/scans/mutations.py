"""Sound files in every format, and damage from a seed: what bad disks, networks and people do."""

import gzip
import re
from collections.abc import Callable
from pathlib import Path

import nibabel as nib
import numpy as np
import SimpleITK as sitk
import tifffile
from PIL import Image
from pydicom import Dataset
from pydicom.uid import RLELossless

from tests.scans.dicom.objects import ENHANCED_MR, dataset, groups, save, slices
from tests.scans.dicom.objects import affine as lps_affine

SIZE = (13, 11, 7)
LPS = lps_affine()
EXTREMES = (b"-1", b"0", b"1", b"nan", b"1e309", b"99999999999", b"4294967297", b"..", b"")
BYTES = (b"\x00", b"\xff", b"\x7f", b"\x80")


def sound_files(folder: Path) -> dict[str, Path]:
    """One small file of each kind: kind -> file whose bytes are damaged."""
    folder.mkdir(parents=True, exist_ok=True)
    volume = np.random.default_rng(0).integers(0, 4, SIZE).astype(np.int16)
    affine = np.diag([-1.0, -1.2, 2.0, 1.0])
    scaled = nib.Nifti1Image(volume, affine)
    scaled.header.set_slope_inter(0.5, -3)
    itk = sitk.GetImageFromArray(volume.T)
    itk.SetSpacing((1.0, 1.2, 2.0))
    plane = (volume[:, :, 0].T * 60).astype(np.uint8)
    colours = np.stack([plane, plane[::-1], plane[:, ::-1]], axis=-1)
    stack = (volume.T * 60).astype(np.uint16)
    writers: dict[str, Callable[[Path], object]] = {
        "a.nii": lambda p: nib.save(nib.Nifti1Image(volume, affine), p),
        "a.nii.gz": lambda p: nib.save(nib.Nifti1Image(volume, affine), p),
        "b.nii": lambda p: nib.save(nib.Nifti2Image(volume.astype(np.float32), affine), p),
        "c.nii": lambda p: nib.save(scaled, p),
        "d.hdr": lambda p: nib.save(nib.Nifti1Pair(volume, affine), p),
        "e.mgz": lambda p: nib.save(nib.MGHImage(volume.astype(np.int32), affine), p),
        "f.mha": lambda p: sitk.WriteImage(itk, str(p), True),
        "g.mhd": lambda p: sitk.WriteImage(itk, str(p)),
        "h.nrrd": lambda p: sitk.WriteImage(itk, str(p), True),
        "i.nrrd": lambda p: sitk.WriteImage(itk, str(p)),
        "j.tif": lambda p: tifffile.imwrite(p, stack, tile=(16, 16), compression="zlib"),
        "k.tif": lambda p: tifffile.imwrite(p, colours, photometric="rgb"),
        "l.tif": lambda p: tifffile.imwrite(p, stack, imagej=True, metadata={"axes": "ZYX"}),
        "m.ome.tif": lambda p: tifffile.imwrite(p, stack, metadata={"axes": "ZYX"}),
        "n.png": lambda p: Image.fromarray(plane).save(p),
        "o.png": lambda p: Image.fromarray(stack[0]).save(p),
        "p.png": lambda p: Image.fromarray(colours).quantize(5).save(p),
        "q.jpg": lambda p: Image.fromarray(colours).save(p),
        "r.gif": lambda p: Image.fromarray(plane).save(p),
        "s.bmp": lambda p: Image.fromarray(colours).save(p),
        "t.seg.nrrd": lambda p: _segmentation(p, volume),
        "u.dcm": lambda p: save(next(slices(volume, LPS)), p),
        "v.dcm": lambda p: save(dataset(ENHANCED_MR, stack, **groups(LPS, range(SIZE[2]))), p),
        "w.dcm": lambda p: save(_packed(volume), p),
    }
    for name, write in writers.items():
        write(folder / name)
    return {name: folder / name for name in writers}


def _packed(volume: np.ndarray) -> Dataset:
    one = next(slices(volume, LPS))
    one.compress(RLELossless, generate_instance_uid=False)
    return one


def _segmentation(path: Path, volume: np.ndarray) -> None:
    image = sitk.GetImageFromArray((volume.T > 1).astype(np.uint8))
    for key, value in {
        "Segment0_ID": "Segment_1", "Segment0_Name": "liver", "Segment0_LabelValue": "1",
        "Segment0_Layer": "0", "Segment0_Extent": "0 12 0 10 0 6",
    }.items():  # fmt: skip
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(path), True)


def damaged(sound: bytes, random: np.random.Generator) -> bytes:
    """One to three kinds of damage; of compressed files, half inside and half outside."""
    if sound[:2] == b"\x1f\x8b" and random.random() < 0.5:
        return gzip.compress(damaged(gzip.decompress(sound), random), 1)
    data = bytearray(sound)
    for _ in range(random.integers(1, 4)):
        _KINDS[random.integers(len(_KINDS))](data, random)
    return bytes(data)


def _place(data: bytearray, random: np.random.Generator) -> int:
    """Headers decide what is read, so half of the damage is done there."""
    end = len(data) if random.random() < 0.5 else min(len(data), 400)
    return int(random.integers(max(end, 1)))


def _flip(data: bytearray, random: np.random.Generator) -> None:
    for _ in range(random.integers(1, 9)):
        if data:
            data[_place(data, random) % len(data)] ^= 1 << int(random.integers(8))


def _overwrite(data: bytearray, random: np.random.Generator) -> None:
    start, length = _place(data, random), int(random.integers(1, 9))
    choice = int(random.integers(len(BYTES) + 1))
    data[start : start + length] = (
        random.bytes(length) if choice == len(BYTES) else BYTES[choice] * length
    )


def _cut(data: bytearray, random: np.random.Generator) -> None:
    del data[_place(data, random) :]


def _remove(data: bytearray, random: np.random.Generator) -> None:
    start = _place(data, random)
    del data[start : start + int(random.integers(1, 64))]


def _repeat(data: bytearray, random: np.random.Generator) -> None:
    start, length = _place(data, random), int(random.integers(1, 64))
    data[start:start] = data[start : start + length]


def _number(data: bytearray, random: np.random.Generator) -> None:
    """A number in a header of text becomes one that nobody means."""
    found = list(re.finditer(rb"-?\d+(\.\d+)?", bytes(data[:2000])))
    if found:
        one = found[int(random.integers(len(found)))]
        data[one.start() : one.end()] = EXTREMES[int(random.integers(len(EXTREMES)))]


_KINDS = (_flip, _flip, _overwrite, _overwrite, _cut, _remove, _repeat, _number)

import tempfile
from pathlib import Path

import pytest
import torch

from medseg.errors import ScanError
from medseg.inference.sliding import Sliding, sliding_logits

CPU = torch.device("cpu")
VOLUME = (13, 10, 9)
WINDOWS = [((4, 5, 6), None), ((1, 4, 6), 0), ((4, 1, 6), 1), ((4, 6, 1), 2), ((16, 4, 16), None)]


def sliding(window, slice_axis=None, overlap=0.5, batch_size=3, outputs=2, memory_bytes=None):
    return Sliding(window, slice_axis, overlap, batch_size, outputs, memory_bytes)


def logits_of(network, image, how):
    with sliding_logits(network, image, how, CPU) as logits:
        return logits.clone()


def noise(channels=2, size=VOLUME):
    return torch.randn(channels, *size, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("overlap", [0.0, 0.5, 0.75])
@pytest.mark.parametrize(("window", "slice_axis"), WINDOWS, ids=str)
def test_an_identity_network_returns_its_input(window, slice_axis, overlap):
    image = noise()
    shapes = []

    def network(images):
        shapes.append(tuple(images.shape[1:]))
        return images.clone()

    how = sliding(window, slice_axis, overlap)
    torch.testing.assert_close(logits_of(network, image, how), image)
    seen = [length for axis, length in enumerate(window) if axis != slice_axis]
    assert set(shapes) == {(2, *seen)}


def test_a_volume_smaller_than_the_window_is_padded_with_the_mean():
    image = noise(size=(3, 4, 2)) + 100

    def network(images):
        assert images.shape[2:] == (8, 8, 8)
        assert not images[:, :, 3:].any()
        assert not images[..., 2:].any()
        return images.clone()

    torch.testing.assert_close(logits_of(network, image, sliding((8, 8, 8))), image)


def test_the_middle_of_a_window_counts_most():
    """A network that is wrong on the faces of its windows is hardly wrong afterwards."""

    def network(images):
        wrong = torch.ones_like(images)
        wrong[:, :, 1:-1, 1:-1, 1:-1] = 0
        return wrong

    image = noise(size=(24, 24, 24))
    logits = logits_of(network, image, sliding((8, 8, 8)))
    assert logits[:, 4:-4, 4:-4, 4:-4].max() < 0.05
    alone = logits_of(network, image, sliding((8, 8, 8), overlap=0.0))
    assert alone[:, 4:-4, 4:-4, 4:-4].max() == 1


@pytest.mark.parametrize("batch_size", [1, 2, 100])
def test_the_batch_size_changes_nothing(batch_size):
    image, how = noise(), sliding((4, 5, 6))
    found = logits_of(torch.tanh, image, how._replace(batch_size=batch_size))
    assert torch.equal(found, logits_of(torch.tanh, image, how))


def test_other_numbers_of_outputs():
    def network(images):
        return torch.cat([images, -images, 2 * images], 1)

    image = noise(channels=1)
    found = logits_of(network, image, sliding((4, 5, 6), outputs=3))
    torch.testing.assert_close(found, torch.cat([image, -image, 2 * image]))


def test_half_precision_is_added_up_in_full():
    image = noise()
    found = logits_of(lambda images: images.half(), image, sliding((4, 5, 6)))
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, image, atol=1e-3, rtol=1e-3)


def test_a_file_gives_what_memory_gives(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    image, how = noise(), sliding((4, 5, 6), memory_bytes=4 * 2 * 13 * 10 * 9)
    expected = logits_of(torch.tanh, image, how)
    assert not list(tmp_path.iterdir())
    with sliding_logits(torch.tanh, image, how._replace(memory_bytes=100), CPU) as logits:
        (folder,) = tmp_path.iterdir()
        (file,) = folder.iterdir()
        assert file.stat().st_size == 4 * logits.numel()
        assert torch.equal(logits, expected)
        del logits
    assert not list(tmp_path.iterdir())


def test_a_full_disk_is_said_before_it_is_written_to(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 10})())
    with pytest.raises(ScanError, match="raise max_memory") as error:
        logits_of(torch.tanh, noise(), sliding((4, 5, 6), memory_bytes=100))
    assert "\n" not in str(error.value)
    assert not list(Path(tmp_path).iterdir())

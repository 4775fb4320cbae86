"""Draws the README's picture: `python benchmarks/readme_picture.py`, after `python train.py`.

The demo's new scan three times: as it is, with the true organs, and with those that the newest run
of `runs/` finds, in the slice that shows most. Reduced to few colours, as git keeps every version.
"""

from pathlib import Path

import torch
from PIL import Image, ImageColor

from medseg.inference.ensemble import load_predictor
from medseg.report.figures import COLOURS, Example, draw_example
from medseg.runs import latest_run
from medseg.scans.case import Case
from medseg.scans.read import read_subject

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "images" / "demo.png"
WIDTH, GAP = 380, 12
GREYS, TINTS = 32, 4


def main() -> None:
    """Predict, draw, save."""
    demo = Path("data/demo")
    scan, label = demo / "new" / "scan.nii.gz", demo / "new_labels" / "scan.nii.gz"
    subject = read_subject(Case("scan", (scan,), (label,)))
    assert subject.label is not None
    predictor, _ = load_predictor([latest_run(Path("runs"))], torch.device("cpu"))
    prediction = predictor.predict(Case("scan", (scan,)))
    example = Example(
        "scan", "", subject.image, subject.geometry, subject.label[0], prediction.label, None
    )
    layers = draw_example(example, list(predictor.plan.scored_classes.values()))
    plain = layers.picture.convert("RGBA")
    panels = [
        plain,
        Image.alpha_composite(plain, layers.reference),
        Image.alpha_composite(plain, layers.prediction),
    ]
    height = round(WIDTH * plain.height / plain.width)
    row = Image.new("RGB", (3 * WIDTH + 2 * GAP, height), "white")
    for index, panel in enumerate(panels):
        small = panel.convert("RGB").resize((WIDTH, height), Image.Resampling.LANCZOS)
        row.paste(small, (index * (WIDTH + GAP), 0))
    PICTURE.parent.mkdir(parents=True, exist_ok=True)
    row.quantize(palette=palette(), dither=Image.Dither.NONE).save(PICTURE, optimize=True)
    print(f"{PICTURE.relative_to(ROOT)}: {PICTURE.stat().st_size / 1000:.0f} kB")


def palette() -> Image.Image:
    """Greys for the scan, and the outlines' colours fading into a middle grey."""
    entries = [(255 * level // (GREYS - 1),) * 3 for level in range(GREYS)]
    for colour in COLOURS[:4]:
        pure = ImageColor.getrgb(colour)[:3]
        for tint in range(1, TINTS + 1):
            entries += [tuple(128 + (value - 128) * tint // TINTS for value in pure)]
    image = Image.new("P", (1, 1))
    image.putpalette([value for entry in entries for value in entry])
    return image


if __name__ == "__main__":
    main()

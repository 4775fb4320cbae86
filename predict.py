"""Segment scans with a trained model: `python predict.py --input scan.nii.gz`."""

import sys

from medseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]], program="python predict.py"))

"""Train a model: `python train.py --help` lists the settings, hparam.py holds them."""

import sys

from medseg.cli import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]], program="python train.py"))

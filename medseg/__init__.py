"""medseg: train a segmentation model on a folder of scans, and get masks for new scans."""

__version__ = "0.1.0"

"""Segmentation networks in pure torch, for any number of spatial axes."""

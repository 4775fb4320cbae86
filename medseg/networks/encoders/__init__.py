"""Encoders: image -> feature maps, finest first."""

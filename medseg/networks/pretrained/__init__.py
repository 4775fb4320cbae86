"""Weights from elsewhere: read, renamed, brought to the shape that an encoder has."""

"""Prepared arrays -> training batches."""

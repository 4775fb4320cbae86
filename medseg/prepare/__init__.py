"""Subject -> normalised arrays in one orientation and spacing, and the exact way back."""

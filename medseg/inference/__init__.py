"""A trained network and a scan -> a label map in the scan's own grid."""

"""DICOM in: files are read by their headers, sorted by position, grouped into series, decoded."""

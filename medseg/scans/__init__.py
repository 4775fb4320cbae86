"""Files on disk <-> subjects: the only room that sees nibabel, SimpleITK, torchio's readers and image files."""

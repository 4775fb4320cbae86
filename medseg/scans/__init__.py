"""Files on disk <-> subjects: the only room that sees nibabel, SimpleITK and torchio's readers."""

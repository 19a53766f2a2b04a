"""A reader per format: bytes of a file -> `layers.Content`. No code in a file is run."""

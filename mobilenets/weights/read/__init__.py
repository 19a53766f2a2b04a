"""A reader for each format: bytes of a file -> `layers.Content`. Nothing in a file is run."""

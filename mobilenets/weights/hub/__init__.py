"""Published networks: the catalogue, and downloads."""

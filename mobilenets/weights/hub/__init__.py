"""Published networks: which there are, and how they come to this machine."""

"""Parts of metric learning: triplet losses, verification and retrieval metrics."""

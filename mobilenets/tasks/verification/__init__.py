"""What embeddings stand on: triplets, and how alike photos of one identity are."""

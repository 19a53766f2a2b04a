"""What geolocation stands on: cells, distances, figures, the map."""

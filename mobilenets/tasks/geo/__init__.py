"""Parts of geolocation: cells, distances, metrics and the map."""

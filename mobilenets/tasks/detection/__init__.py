"""Detection: annotations read, networks, average precision, answers. `tasks/detect.py` puts them together."""

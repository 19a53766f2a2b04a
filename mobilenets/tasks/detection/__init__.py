"""Parts of object detection: annotations, networks, average precision, predictions; used by `tasks/detect.py`."""

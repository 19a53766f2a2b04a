"""Read labelled images from the user's files into arrays of uint8."""

from .cache import BadImage, Images, decode_split
from .sources import Dataset, Sample, open_dataset

__all__ = ["BadImage", "Dataset", "Images", "Sample", "decode_split", "open_dataset"]

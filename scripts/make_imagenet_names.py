"""Write mobilenets/data/imagenet.txt: the 1,000 classes of ILSVRC-2012 in their usual order, WNID and name.

The WNIDs come from timm's table, the names from torchvision's, where all differ.
"""

from pathlib import Path

from timm.data import ImageNetInfo
from torchvision.models._meta import _IMAGENET_CATEGORIES

wnids = ImageNetInfo("imagenet-1k").label_names()
assert len(set(wnids)) == len(set(_IMAGENET_CATEGORIES)) == 1000 and list(wnids) == sorted(wnids)
lines = [f"{wnid} {name}\n" for wnid, name in zip(wnids, _IMAGENET_CATEGORIES, strict=True)]
Path("mobilenets/data/imagenet.txt").write_text("".join(lines), "utf-8")

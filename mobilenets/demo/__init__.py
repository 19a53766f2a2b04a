"""Provide the data set of `mobilenets demo`: a sample of Fashion-MNIST, 600 train and 200 test images per class.

Fashion-MNIST (Xiao, Rasul, Vollgraf 2017, https://github.com/zalandoresearch/fashion-mnist) is copyright of
Zalando SE and under the MIT licence, see LICENSE.fashion-mnist. scripts/make_demo_data.py makes the file.
"""

from pathlib import Path

__all__ = ["DATA"]

DATA = Path(__file__).with_name("fashion_mnist.parquet")  # image {bytes, path}, label, split ("train" or "test")

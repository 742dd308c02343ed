"""Tests on real images, which no repository holds."""

import os

import pytest

from datamodules.images import DATA_VARIABLE

needs_data = pytest.mark.skipif(
    not os.environ.get(DATA_VARIABLE),
    reason=f"{DATA_VARIABLE} names no folder of image data; python -m benchmark data NAME --data DIR downloads them",
)

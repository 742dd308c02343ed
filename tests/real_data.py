"""Tests on real images, which no repository holds."""

import os

import pytest

from datamodules.images import DATA_VARIABLE

NO_DATA = f"{DATA_VARIABLE} names no folder of image data; python -m benchmark data NAME --data DIR downloads them"
needs_data = pytest.mark.skipif(not os.environ.get(DATA_VARIABLE), reason=NO_DATA)

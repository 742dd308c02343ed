"""The command ``data``: download an image set, or check that it is present."""

from __future__ import annotations

import sys
from dataclasses import dataclass

from benchmark.cli.options import DataOptions, option


@dataclass(kw_only=True)
class DataCommandOptions(DataOptions):
    """Download an image set that is missing, and say what is there.

    data mnist --data DIR
    data folder:PATH              a folder of images of yours
    """

    verb = "data"

    name: str | None = option("mnist, fashion-mnist or another set, or folder:PATH", metavar="NAME", positional=True)


def run(options: DataCommandOptions) -> int:
    """Download the image set if it is missing, and print its size."""
    from benchmark.cli.select import prepare
    from benchmark.errors import UserError, unknown
    from datamodules.images import READERS, MissingData, download, read_images, set_aside

    if not options.name:
        raise UserError(f"which image set? for example data {next(iter(READERS))}")
    prepare(options)
    if options.name not in READERS and not options.name.startswith("folder:"):
        raise unknown("image set", options.name, READERS)
    try:
        read_images(options.name, "train")
    except MissingData:
        if options.name not in READERS:
            raise
        for moved in set_aside(options.name):
            print(f"moved aside, as it cannot be read: {moved}", file=sys.stderr)
        download(options.name)
    for part in ("train", "test"):
        pixels, labels = read_images(options.name, part)
        classes = f", {len(set(labels.tolist()))} classes" if labels[0] >= 0 else ""
        print(f"{options.name} {part}: {len(pixels)} images of {'x'.join(map(str, pixels.shape[1:]))}{classes}")
    return 0

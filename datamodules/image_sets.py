"""The image sets of GAAN's Tables 3 and 4 and of VEEGAN's Table 2."""

from datamodules.images import ImageSet

_MNIST = "MNIST (LeCun, Cortes and Burges)"
_DIGITS = "scikit-learn's 1,797 digits of 8 x 8 pixels, resized: no download"
_ON_THE_FLY = "three random digits as the channels of an image, new for every batch (Metz et al. 2017)"

MNIST = ImageSet("mnist", "mnist", (1, 28, 28), _MNIST, "digits", version=1)
MNIST_1K = ImageSet(
    "mnist-1k", "mnist", (3, 28, 28), f"{_MNIST}: {_ON_THE_FLY}", "digits", stack=3, fixed=128_000, version=1
)
STACKED_MNIST = ImageSet(
    "stacked-mnist",
    "mnist",
    (3, 28, 28),
    f"{_MNIST}: 128,000 fixed stacks of three training digits (Srivastava et al. 2017)",
    "digits",
    stack=3,
    fixed=128_000,
    version=1,
)
DIGITS = ImageSet("digits", "digits", (1, 28, 28), _DIGITS, "digits", version=1)
DIGITS_1K = ImageSet(
    "digits-1k", "digits", (3, 28, 28), f"{_DIGITS}; {_ON_THE_FLY}", "digits", stack=3, fixed=8_192, version=1
)
CIFAR10 = ImageSet("cifar10", "cifar10", (3, 32, 32), "CIFAR-10 (Krizhevsky 2009)", "images", version=1)
CELEBA = ImageSet(
    "celeba",
    "celeba",
    (3, 64, 64),
    "CelebA (Liu et al. 2015), aligned; the middle 108 x 108 resized to 64 x 64",
    "images",
    version=1,
)

"""Names and versions of measures: what tables need to know of them before anything is measured. Loads no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass

#: Version of each family of measures. Raise it when a change alters a number; a measure that is added alters none.
MEASURE_VERSIONS = {"registered": 1, "quality": 1, "digits": 1, "images": 1}

#: Environment variable that names a file of Inception's weights; the command line's ``--fid-weights`` sets it.
WEIGHTS_VARIABLE = "MODECOV_FID_WEIGHTS"
#: Measures of distances, in the order of the columns, for Inception; those of another network end in its suffix.
DISTANCE_MEASURES = ("fid", "kid", "precision", "recall")
#: Those of them that are shares, not distances.
SHARES = ("precision", "recall")
#: Images on either side of a published FID (Lucic et al. 2018, arXiv:1711.10337, section 5.1).
USUAL_COUNT = 10_000
#: IvOM after so many steps of the optimizer; the last is the one that tables show.
INVERSION_MEASURES = ("ivom_5", "ivom_50", "ivom")


class MissingWeights(Exception):
    """Weights that cannot be had: which, why, and the way out, in one line."""


@dataclass(frozen=True)
class FeatureSpace:
    """The features of a network, as names of measures show them.

    Attributes:
        distance: Name of the Frechet distance in these features. Only Inception's is called FID.
        suffix: End of the names of measures.
    """

    distance: str
    suffix: str


#: Networks in whose features sets of images are compared.
FEATURE_SPACES = {
    "inception": FeatureSpace("FID", ""),
    "efficientnet-lite0": FeatureSpace("FD-EffNetLite0", "_effnetlite0"),
}


def measure_names(extractor: str) -> dict[str, str]:
    """Names of ``DISTANCE_MEASURES`` for a network. Only those of Inception are called fid and kid."""
    suffix = FEATURE_SPACES[extractor].suffix
    return {
        name: (name if not suffix else {"fid": "fd", "kid": "kd"}.get(name, name) + suffix)
        for name in DISTANCE_MEASURES
    }

"""What PacGAN's text says in sentences, and what is measured of it."""

from __future__ import annotations

import math

from benchmark.spec.claims import HOW_JUDGED, Claim, ClaimTable, Comparison, Models, Statistic
from pacgan import tables

_TEXT = "Lin et al. 2018 (arXiv:1712.04086), section 4.1"
_MODES = Statistic("modes captured", "captured_modes", lost=0.0)


def _on(dataset: str, row: str) -> Models:
    return Models(tables.TABLE_1, row, dataset)


def _balance(modes: int) -> Statistic:
    """A model that diverged counts as one with a single mode."""
    return Statistic("reverse KL", tables.REVERSE_KL, lost=math.log(modes))


CLAIMS = ClaimTable(
    id="pacgan-claims",
    number=None,
    title="What PacGAN's text says in sentences, and what is measured of it",
    citation=tables.CITATION,
    claims=(
        Claim(
            "pacgan-modes",
            "A discriminator that sees two samples at once makes the generator capture more modes.",
            _TEXT,
            "The ring and the grid: PacGAN2 against GAN, with the same networks.",
            tuple(Comparison(_MODES, _on(d, "pacgan2"), "higher", _on(d, "gan")) for d in ("ring8", "grid25")),
        ),
        Claim(
            "pacgan-balance",
            "A discriminator that sees two samples at once makes the generator's modes more even.",
            _TEXT,
            "The ring and the grid: the reverse KL over modes of PacGAN2 against GAN's.",
            tuple(
                Comparison(_balance(modes), _on(dataset, "pacgan2"), "lower", _on(dataset, "gan"))
                for dataset, modes in (("ring8", 8), ("grid25", 25))
            ),
        ),
    ),
    notes=(HOW_JUDGED,),
)

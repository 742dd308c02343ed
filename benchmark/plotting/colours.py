"""Colours of methods. Loads no Matplotlib."""

#: Okabe and Ito's palette, which the colour-blind can tell apart; its yellow comes last, being faint on white.
COLOURS = ("#000000", "#E69F00", "#56B4E9", "#009E73", "#0072B2", "#CC79A7", "#D55E00", "#F0E442")

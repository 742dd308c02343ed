"""VEEGAN: Srivastava et al. 2017, arXiv:1705.07761."""

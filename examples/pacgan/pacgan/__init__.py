"""A paper for modecov: PacGAN (Lin et al. 2018, arXiv:1712.04086)."""

"""GAAN: Tran, Bui and Cheung 2018, arXiv:1803.08887."""

"""Data sets, and the modes that are known of them."""

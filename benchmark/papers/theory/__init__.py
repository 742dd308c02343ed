"""Demonstrations of claims in the lecture "Understanding GANs" and in the papers that it cites."""

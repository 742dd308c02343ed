"""Demonstrations about the gradients that a discriminator sends to its generator."""

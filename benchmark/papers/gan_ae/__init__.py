"""The poster "GANs powered by autoencoding"."""

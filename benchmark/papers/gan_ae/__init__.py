"""GANs powered by autoencoding: poster."""

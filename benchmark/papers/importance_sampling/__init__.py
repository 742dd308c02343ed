"""The poster "GAN with an autoencoder and importance sampling" (Lee and Lee 2018)."""

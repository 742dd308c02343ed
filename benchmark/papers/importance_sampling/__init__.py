"""GAN with an autoencoder and importance sampling: Lee and Lee 2018, poster."""

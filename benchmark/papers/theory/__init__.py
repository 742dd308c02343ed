"""The lecture "Understanding GANs", and the papers that it rests on, as demonstrations."""

"""Methods, one file each, and the networks, losses and base class that they share."""

"""What drawings of several papers share."""

"""Whether a method keeps its promises, records can be made again, and this machine is fit for it."""

"""Tables as data: one file per source document."""

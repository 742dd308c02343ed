"""Check methods, stored records and this machine."""

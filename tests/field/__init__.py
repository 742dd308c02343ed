"""What people's machines and files do: one small test per kind, each with the public report that it comes from."""

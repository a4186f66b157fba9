"""The read API of the catalogue, for back ends of applications."""

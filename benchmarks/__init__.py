"""Figures of the running system. They are printed, not asserted: see README.md."""

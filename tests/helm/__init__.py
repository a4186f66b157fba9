"""The chart: rendered by the real helm, applied to the real API server, and what is generated from it."""

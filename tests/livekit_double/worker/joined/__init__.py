"""Media of a real room: the worker joins it, subscribes, and takes what arrives."""

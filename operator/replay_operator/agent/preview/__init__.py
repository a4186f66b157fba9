"""Shows buffers and clips to people, on a port of its own: whoever gets there can only look."""

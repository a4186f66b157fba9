"""What it costs to make a clip: time, bytes written and memory, beside the usual way and a plain copy."""

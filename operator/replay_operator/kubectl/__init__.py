"""`kubectl replay`: what people do with buffers and captures by hand, as a kubectl plugin."""

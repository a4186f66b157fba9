"""The resources and wire formats as pydantic models. No I/O, no decisions."""

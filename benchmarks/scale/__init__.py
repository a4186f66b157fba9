"""What a number of buffers costs: API writes, calls to LiveKit, CPU, memory and time."""

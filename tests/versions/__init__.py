"""The unit and media tests under other versions of Python and ffmpeg: `make versions`."""

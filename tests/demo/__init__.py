"""`make demo`: the main job of this project from an empty machine to an MP4."""

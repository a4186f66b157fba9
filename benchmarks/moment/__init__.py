"""How long it takes from the click to the clip, and where the time goes."""

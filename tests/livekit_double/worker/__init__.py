"""The worker half: takes egresses from the server and records them."""

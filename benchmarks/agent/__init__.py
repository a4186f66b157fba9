"""What it costs the agent to follow arriving segments, beside merely reading them."""

"""What people who look at a buffer cost the agent."""

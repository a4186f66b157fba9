"""LiveKit as the operator sees it: a port, its adapter over livekit-api, the poller of its egress list."""

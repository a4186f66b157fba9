"""As real as it gets without LiveKit's egress image: a real livekit-server, real publishers, real media."""

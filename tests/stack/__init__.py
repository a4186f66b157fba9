"""The whole system on the test bed: exactly `manifests/base`, with LiveKit's double in LiveKit's place."""

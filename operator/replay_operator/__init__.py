"""Rolling replay buffers and clips for a self-hosted LiveKit on Kubernetes."""

__version__ = "0.1.0"

"""The Kubernetes API, behind one gateway. 404 is None here, and nowhere else."""

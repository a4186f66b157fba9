"""What is made and looked at before a release: `make release-check`."""

"""Object storage: the one package that talks S3. Only the subcommand `upload` imports it."""

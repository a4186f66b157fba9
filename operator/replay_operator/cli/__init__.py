"""The command line: one program, a module for each subcommand that is no process of the system."""

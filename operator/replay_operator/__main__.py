"""`python -m replay_operator` is `replay-operator`."""

from replay_operator.cli.program import main

if __name__ == "__main__":
    main()

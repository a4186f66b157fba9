"""`replay-operator catalogue`."""

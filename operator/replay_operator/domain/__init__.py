"""Pure decisions. No clock, no I/O: `now` and every observation are arguments."""

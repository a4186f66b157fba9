"""Hours of churn, captures and faults: what grows? `make soak HOURS=1`."""

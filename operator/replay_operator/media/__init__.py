"""From recorded segments to one finished clip: read, scan, plan, join, verify, publish."""

"""The server half: rooms, egress records, Twirp routes, webhooks, faults and the admin API."""

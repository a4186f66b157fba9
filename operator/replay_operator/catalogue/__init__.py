"""What outlives the resources: sessions, clips and quotas, in SQL."""

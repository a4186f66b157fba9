"""`replay-operator doctor`: gathers facts about an install, and tells what the checklist says of them.

It only reads: no probe writes to the cluster, to LiveKit or to a volume.
"""

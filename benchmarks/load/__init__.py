"""Hundreds of recordings of real size on one volume, and whether agent and captures keep their times."""

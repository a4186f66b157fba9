"""Tests of the double itself."""

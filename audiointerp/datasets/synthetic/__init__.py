"""Sounds and music made by code, which know where the evidence for their class lies."""

"""Ways to fill an archive from a snapshot."""

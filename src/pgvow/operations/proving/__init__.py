"""The parts of a proof: the archive, what stands in its way, where it happens, how it goes."""

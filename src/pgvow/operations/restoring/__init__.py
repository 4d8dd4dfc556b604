"""The parts of a restore: what is checked, made, filled, given away and put in place."""

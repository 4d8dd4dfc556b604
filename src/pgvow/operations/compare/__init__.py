"""What came back against what was there: rows, sequences, large objects, the schema."""

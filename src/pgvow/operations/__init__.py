"""What a user asks for, one file a verb: options in, a result object out."""

"""Each command's call: typed options, the operation, the report, the exit code.

``run`` of the module with a command's name is imported when the command is run.
"""

"""Who is told of a run: alarms, notifications, a ping, metrics, hooks."""

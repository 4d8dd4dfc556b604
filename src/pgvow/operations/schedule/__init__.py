"""When jobs are due, and who starts them: cron, systemd, or we in the foreground."""

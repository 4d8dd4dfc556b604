"""When jobs are due, and how they are started: by cron, by systemd, or in the foreground."""

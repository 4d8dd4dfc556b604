"""How the backups and their surroundings stand: status, alarms, metrics, the doctor's findings."""

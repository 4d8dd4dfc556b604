"""What ``--help`` says besides the options."""

from __future__ import annotations

EXIT_CODES = """\
exit codes:
  0    done
  1    anything not below
  2    configuration or usage
  3    cannot connect, or refused by the server's authentication
  4    permission denied, by the database or the file system
  5    not enough disk space
  6    pg_dump, pg_restore or another tool missing, or too old
  7    making the backup failed
  8    verification or proof failed
  9    another backup of this database into this directory is running
  10   restore failed
  11   doctor, status: something needs attention
  12   doctor, status: something is wrong
  13   cannot be proven here: an extension or a collation is not to be had
  130  interrupted by Ctrl-C
  143  interrupted by SIGTERM
"""

CONTRACT_EXAMPLES = """\
examples:
  python3 backup_db.py                            back up what .env.local and .env describe
  python3 backup_db.py --env prod                 back up the production database
  python3 backup_db.py --output-dir /mnt/backups  put it elsewhere
  python3 backup_db.py --list                     list what there is
  python3 backup_db.py --verify db/backups/NAME.dump

"""

PGVOW_EXAMPLES = """\
examples:
  pgvow demo                     see it all on a throw-away server, in a minute
  pgvow doctor                   check settings, tools, rights and space
  pgvow backup --env prod        back up the production database
  pgvow list
  pgvow verify db/backups/NAME.dump
  pgvow prove --latest           restore the newest on a throw-away server, and compare
  pgvow prune --keep-daily 7 --keep-weekly 4 --dry-run
  pgvow schedule install --env prod --at "0 2 * * *"
  pgvow status                   whether all is well

"""

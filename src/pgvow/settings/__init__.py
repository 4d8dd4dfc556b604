"""The settings of one run: from the environment, ``.env.local`` and ``.env``, checked at once."""

from pgvow.settings.configuration import Configuration, Source
from pgvow.settings.connection import Connection, SettingOrigin
from pgvow.settings.env_files import FILES, Variables, VariableValue, readable_by_others
from pgvow.settings.loading import Settings, load, load_pg_bin
from pgvow.settings.sections import (
    BackupSection,
    Event,
    HooksSection,
    Job,
    NotificationsSection,
    RetentionSection,
    ScheduledJob,
    ScheduleSection,
    StatusSection,
)
from pgvow.settings.source_choice import (
    detected_environment,
    named_environment,
    password_variables,
    variables_of,
)
from pgvow.settings.toml_file import LoadedConfiguration, load_configuration
from pgvow.settings.values import format_duration, parse_duration
from pgvow.settings.variables import SECRET_PARAMETERS, SECRET_VARIABLES

__all__ = [
    "FILES",
    "SECRET_PARAMETERS",
    "SECRET_VARIABLES",
    "BackupSection",
    "Configuration",
    "Connection",
    "Event",
    "HooksSection",
    "Job",
    "LoadedConfiguration",
    "NotificationsSection",
    "RetentionSection",
    "ScheduleSection",
    "ScheduledJob",
    "SettingOrigin",
    "Settings",
    "Source",
    "StatusSection",
    "VariableValue",
    "Variables",
    "detected_environment",
    "format_duration",
    "load",
    "load_configuration",
    "load_pg_bin",
    "named_environment",
    "parse_duration",
    "password_variables",
    "readable_by_others",
    "variables_of",
]

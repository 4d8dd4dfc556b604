"""The settings of one run: from the environment, ``.env.local`` and ``.env``, checked at once.

``--help`` needs the declarations of options alone, so a name is imported when it is first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgvow.settings.configuration import Configuration, Source
    from pgvow.settings.connection import Connection, SettingOrigin
    from pgvow.settings.env_files import FILES, Variables, VariableValue, readable_by_others
    from pgvow.settings.loading import (
        Settings,
        detected_environment,
        load,
        load_pg_bin,
        named_environment,
        password_variables,
        variables_of,
    )
    from pgvow.settings.options import (
        BackupSection,
        DigestPeriod,
        Event,
        HooksSection,
        Job,
        NotificationsSection,
        RecoverySheetSection,
        RetentionSection,
        ScheduledJob,
        ScheduleSection,
        SheetFormat,
        StatusSection,
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
    "DigestPeriod",
    "Event",
    "HooksSection",
    "Job",
    "LoadedConfiguration",
    "NotificationsSection",
    "RecoverySheetSection",
    "RetentionSection",
    "ScheduleSection",
    "ScheduledJob",
    "SettingOrigin",
    "Settings",
    "SheetFormat",
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

# The declarations first: they load no library.
_MODULES = (
    "options",
    "configuration",
    "values",
    "variables",
    "connection",
    "env_files",
    "loading",
    "toml_file",
)

if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        if name in __all__:
            for module in _MODULES:
                loaded = import_module(f"{__name__}.{module}")
                if hasattr(loaded, name):
                    return getattr(loaded, name)
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

"""Settings of the topics job. It serves nothing, but takes the ops variables that all services share."""

from __future__ import annotations

from libs.runtime.settings import ServiceSettings


class Settings(ServiceSettings, frozen=True, kw_only=True):
    pass

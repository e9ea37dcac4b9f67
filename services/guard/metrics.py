"""The guard's metrics."""

from __future__ import annotations

from typing import Final

from libs.runtime.metrics import counter, gauge, histogram

USERS: Final = gauge("guard_users", "Users in the password file: devices that are enabled, and self-registration.")
BLOCKS: Final = gauge("guard_user_blocks", "Blocks of single users in the access file.")
LEFT_OUT: Final = gauge(
    "guard_left_out", "Documents of which no line may be made, so that what they tell of is left out.", ("reason",)
)
WRITTEN: Final = counter(
    "guard_files_written", "Files put in place, because documents changed or because somebody altered them.", ("cause",)
)
FAILED: Final = counter("guard_files_failed", "Attempts to write the files that failed.")
RELOADS: Final = counter("guard_reloads", "SIGHUPs sent to the broker.")
RELOAD_SECONDS: Final = histogram(
    "guard_reload_seconds", "From a SIGHUP until the broker has applied it; it serves nobody meanwhile."
)
APPLY_SECONDS: Final = histogram(
    "guard_apply_seconds", "From the first change of a batch until the broker has applied it."
)
ENDED: Final = counter("guard_sessions_ended", "Sessions of deleted devices that were ended in the broker.")
OWED: Final = gauge("guard_sessions_owed", "Sessions of deleted devices that are still to be ended.")
BROKER: Final = gauge("guard_broker_told", "1 while the broker runs and has been told of the files as they are.")

"""The console channel: one line in the task's log."""

import logging

from pennant.watch.alerts import AlertEvent

_log = logging.getLogger("pennant.alerts")


class ConsoleChannel:
    """Writes the alert to the log of the task that raised it."""

    def deliver(self, event: AlertEvent) -> None:
        _log.warning(
            "%s %s: %s Action: %s Evidence: %s",
            event.severity.upper(),
            event.use_case,
            event.what,
            event.action,
            dict(event.evidence),
        )

"""Keeps secrets out of everything that is stored, raised or logged."""

import base64
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote, quote_plus

MASK = "***"
_SHORTEST_IN_DATA = 8
"""A shorter secret is not looked for in a provider's data: it would be found in honest values."""
_LOGGERS = ("httpx", *(f"httpcore.{each}" for each in ("connection", "http11", "http2", "proxy", "socks")))
"""They log what a server sends, who may repeat the key."""


class Secrets:
    """The secrets of one fetch, in every spelling in which a provider or a library may repeat them."""

    def __init__(self, *values: str) -> None:
        self._values = [each for each in values if each]
        spelled = {form for value in self._values for form in _forms(value)}
        self._forms = sorted(spelled, key=len, reverse=True)

    def __repr__(self) -> str:
        return f"Secrets({len(self._values)})"

    def masked(self, text: str) -> str:
        """The text without the secrets."""
        for form in self._forms:
            text = text.replace(form, MASK)
        return text

    def masked_content(self, content: bytes) -> bytes:
        """A body without the secrets: some providers repeat the key, as in the link to a next page."""
        for form in self._forms:
            if len(form) >= _SHORTEST_IN_DATA:
                content = content.replace(form.encode(), MASK.encode())
        return content

    @contextmanager
    def kept_from_logs(self) -> Iterator[None]:
        """Mask what the libraries of HTTP log meanwhile."""

        def masked(record: logging.LogRecord) -> bool:
            record.msg, record.args = self.masked(record.getMessage()), ()
            return True

        loggers = [logging.getLogger(name) for name in _LOGGERS] if self._forms else []
        for logger in loggers:
            logger.addFilter(masked)
        try:
            yield
        finally:
            for logger in loggers:
                logger.removeFilter(masked)

    def within(self, text: str) -> bool:
        """Whether a secret stands in the text."""
        return any(form in text for form in self._forms)


def _forms(value: str) -> list[str]:
    coded = base64.b64encode(value.encode()).decode()
    return [value, quote(value, safe=""), quote_plus(value), json.dumps(value)[1:-1], coded]

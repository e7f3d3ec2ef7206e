"""The Slack channel, through slack-sdk's Web API client."""

import json
from typing import Any

from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackClientError

from pennant.watch.alerts import AlertEvent, ChannelDown

_MARKS = {"info": ":information_source:", "warning": ":warning:", "critical": ":rotating_light:"}
_TEXT_LIMIT = 2900


class SlackChannel:
    """Posts to one channel with a bot token (scope `chat:write`)."""

    def __init__(self, token: str, channel: str, base_url: str | None = None) -> None:
        options: dict[str, Any] = {"base_url": base_url} if base_url else {}
        self._client = WebClient(token=token, timeout=10, **options)
        self._channel = channel

    def deliver(self, event: AlertEvent) -> None:
        """Post the alert.

        Raises:
            ChannelDown: Slack could not be reached or refused the message.
        """
        try:
            self._client.chat_postMessage(
                channel=self._channel, text=f"{event.severity}: {event.what}", blocks=blocks(event)
            )
        except SlackApiError as error:
            raise ChannelDown("slack", str(error.response.get("error", error))) from error
        except (SlackClientError, OSError) as error:
            raise ChannelDown("slack", str(error)) from error


def blocks(event: AlertEvent) -> list[dict[str, Any]]:
    """The message as Slack blocks: what, how bad, the numbers, what was done, where to click."""
    numbers = "\n".join(
        f"• {_plain(name)}: `{_plain(_figure(value))}`" for name, value in event.evidence.items()
    )
    parts = [f"*{_plain(event.what)}*", numbers, f"*Done:* {_plain(event.action)}"]
    links = "  ·  ".join(f"<{url}|{_plain(name)}>" for name, url in event.links.items())
    body = "\n".join(each for each in parts if each)[:_TEXT_LIMIT]
    context = f"{event.use_case} · {event.severity} · as of {event.as_of:%Y-%m-%d %H:%M} UTC"
    found: list[dict[str, Any]] = [
        {"type": "header", "text": {"type": "plain_text", "text": _header(event)}},
        {"type": "section", "text": {"type": "mrkdwn", "text": body}},
    ]
    if links:
        found.append({"type": "section", "text": {"type": "mrkdwn", "text": links[:_TEXT_LIMIT]}})
    found.append({"type": "context", "elements": [{"type": "mrkdwn", "text": _plain(context)}]})
    return found


def _header(event: AlertEvent) -> str:
    return f"{_MARKS[event.severity]} {event.use_case}: {event.class_.replace('_', ' ')}"[:150]


def _figure(value: object) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    return value if isinstance(value, str) else json.dumps(value, default=str)


def _plain(text: str) -> str:
    """Escape what Slack would read as markup, so that data cannot mention a channel or make a link."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")

"""Where alerts go: the Slack channel named by the Airflow connection `pennant_slack`, and the console."""

from typing import TYPE_CHECKING

from pennant.declaration.model import DataUseCase

if TYPE_CHECKING:
    from pennant.watch.alerts import Channel

SLACK_CONNECTION = "pennant_slack"


def open_channels(use_case: DataUseCase) -> "dict[str, Channel]":
    """Open the channels that this installation has.

    Without the connection `pennant_slack` there is no Slack: the alert is still recorded and shown on
    the console, and its delivery to Slack is recorded as not configured.
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    from pennant.watch.console import ConsoleChannel
    from pennant.watch.slack import SlackChannel

    channels: dict[str, Channel] = {"console": ConsoleChannel()}
    try:
        connection = BaseHook.get_connection(SLACK_CONNECTION)
    except AirflowNotFoundException:
        return channels
    base_url = None
    if connection.host:
        port = f":{connection.port}" if connection.port else ""
        base_url = f"{connection.schema or 'https'}://{connection.host}{port}/api/"
    channels["slack"] = SlackChannel(
        token=connection.password or "", channel=use_case.owner.slack_channel, base_url=base_url
    )
    return channels

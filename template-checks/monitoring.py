"""The dashboard."""

import json
from collections.abc import Iterator
from typing import Any

from expansion import Resource, Stack, text
from promises import promise

COLUMNS = 24
# What a dashboard may show within CloudWatch's free tier.
FREE_METRICS = 50


def widgets(dashboard: Resource) -> list[dict[str, Any]]:
    return json.loads(text(dashboard.properties["DashboardBody"]))["widgets"]


@promise
def every_dashboard_is_complete(stack: Stack) -> Iterator[str]:
    for dashboard in stack.all("AWS::CloudWatch::Dashboard"):
        try:
            shown = widgets(dashboard)
        except json.JSONDecodeError as error:
            yield f"{dashboard}: its body is no JSON: {error}"
            continue
        column = 0
        for widget in shown:
            what = widget["properties"].get("title", widget["type"])
            if widget["type"] == "metric" and not {"title", "region", "metrics"} <= widget["properties"].keys():
                yield f"{dashboard}: {what} needs a title, a region and metrics"
            column += widget["width"]
            if column > COLUMNS:
                yield f"{dashboard}: {what} does not fit into its row: the widths of a row have to add up to {COLUMNS}"
            column %= COLUMNS
        if column:
            yield f"{dashboard}: its last row is not full: the widths of a row have to add up to {COLUMNS}"


@promise
def the_dashboard_shows_the_alarms_that_there_are(stack: Stack) -> Iterator[str]:
    alarms = {text(alarm.properties["AlarmName"]): alarm for alarm in stack.all("AWS::CloudWatch::Alarm")}
    shown = {arn.rsplit(":", 1)[-1] for dashboard in stack.all("AWS::CloudWatch::Dashboard")
             for widget in widgets(dashboard) if widget["type"] == "alarm" for arn in widget["properties"]["alarms"]}
    yield from (f"{alarms[name]}: is not on the dashboard: add it there" for name in alarms.keys() - shown)
    yield from (f"the dashboard shows the alarm {name}, which there is not: remove it there"
                for name in shown - alarms.keys())


@promise
def the_essential_dashboard_is_free(stack: Stack) -> Iterator[str]:
    # Each optional part that is on has its own widgets.
    if stack.parameters["Monitoring"] != "essential" or len(stack.nested) > 1:
        return
    for dashboard in stack.all("AWS::CloudWatch::Dashboard"):
        metrics = sum(len(widget["properties"].get("metrics", [])) for widget in widgets(dashboard))
        if metrics > FREE_METRICS:
            yield f"{dashboard}: {metrics} metrics, and {FREE_METRICS} are free: move some to Monitoring=full"

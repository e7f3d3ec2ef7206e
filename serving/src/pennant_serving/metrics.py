"""What Prometheus reads at /metrics; one registry per app, so that two apps in one process do not mix."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.platform_collector import PlatformCollector
from prometheus_client.process_collector import ProcessCollector

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """All metrics of one app; labels are route patterns and versions, never entities."""

    def __init__(self) -> None:
        self.registry = registry = CollectorRegistry()
        ProcessCollector(registry=registry)
        PlatformCollector(registry=registry)
        self.requests = Counter(
            "pennant_serving_requests",
            "Requests answered",
            ["method", "route", "status"],
            registry=registry,
        )
        self.seconds = Histogram(
            "pennant_serving_request_seconds",
            "Time to answer",
            ["route"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.in_flight = Gauge("pennant_serving_in_flight", "Requests being worked on", registry=registry)
        self.predictions = Counter(
            "pennant_serving_predictions",
            "Predictions answered and logged",
            ["use_case", "version", "arm"],
            registry=registry,
        )
        self.policy = Gauge(
            "pennant_serving_policy_id", "Traffic policy in force", ["use_case"], registry=registry
        )
        self.policy_failures = Counter(
            "pennant_serving_policy_failures",
            "Policies that could not be put in force",
            ["use_case", "reason"],
            registry=registry,
        )
        self.policy_reads_failed = Counter(
            "pennant_serving_policy_reads_failed",
            "Times the warehouse gave no policies",
            registry=registry,
        )
        self.backlog = Gauge(
            "pennant_serving_spool_backlog", "Predictions waiting for the warehouse", registry=registry
        )
        self.spool_failures = Counter(
            "pennant_serving_spool_failures", "Groups the spool could not write", registry=registry
        )
        self.drained = Counter(
            "pennant_serving_drained", "Predictions handed to the warehouse", registry=registry
        )
        self.drain_failures = Counter(
            "pennant_serving_drain_failures", "Hand-overs that failed", registry=registry
        )

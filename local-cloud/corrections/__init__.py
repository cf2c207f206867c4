"""Corrections of MiniStack 1.5.33, each named and switched off on its own.

A correction is a function without arguments that patches one upstream behaviour; its docstring names that
behaviour. `test_launcher.py` runs one check per correction with it and without it, so that a correction that
upstream has made superfluous is noticed and can be dropped.
"""

from collections.abc import Callable, Iterable

from . import (
    access,
    alarms,
    databases,
    function_environment,
    functions,
    http_api,
    http_events,
    invocations,
    latency,
    load_balancer,
    logs,
    nested_stacks,
    objects,
    presigned,
    queues,
    rotation,
    sam_transform,
    secret_values,
    streams,
    stubs,
)

CORRECTIONS: dict[str, Callable[[], None]] = {
    "runtime-api-delay": latency.runtime_api_delay,
    "log-wait": latency.log_wait,
    "late-log-lines": logs.late_log_lines,
    "http-api-import": http_api.http_api_import,
    "http-api-accounts": http_api.http_api_accounts,
    "http-preflights": http_api.http_preflights,
    "http-api-permissions": invocations.http_api_permissions,
    "http-cookies": http_events.http_cookies,
    "http-forwarded": http_events.http_forwarded,
    # After the correction that reads it: the last one sees an event first.
    "http-source-address": http_events.http_source_address,
    "http-payload-limits": http_events.http_payload_limits,
    "http-function-errors": http_events.http_function_errors,
    "filtered-messages": queues.filtered_messages,
    "stream-batches": streams.stream_batches,
    "secret-generator": secret_values.secret_generator,
    "secret-ref": secret_values.secret_ref,
    "secret-versions": rotation.secret_versions,
    "secret-rotation": rotation.secret_rotation,
    "secure-transport": access.secure_transport,
    "batch-actions": access.batch_actions,
    "mapping-permissions": access.mapping_permissions,
    "polling-permissions": access.polling_permissions,
    "log-permissions": access.log_permissions,
    "network-permissions": access.network_permissions,
    "key-permissions": access.key_permissions,
    "unsigned-headers": presigned.unsigned_headers,
    "bucket-encryption": objects.bucket_encryption,
    "bucket-deletions": objects.bucket_deletions,
    "absent-objects": objects.absent_objects,
    "version-deletions": objects.version_deletions,
    "senders-keys": objects.senders_keys,
    "log-settings": function_environment.log_settings,
    "load-balancer-targets": load_balancer.load_balancer_targets,
    "load-balancer-events": load_balancer.load_balancer_events,
    "load-balancer-https": load_balancer.load_balancer_https,
    "function-properties": functions.function_properties,
    "failed-starts": functions.failed_starts,
    "stubs": stubs.stubs,
    "nested-stacks": nested_stacks.nested_stacks,
    "sam-parameters": sam_transform.sam_parameters,
    "metric-math": alarms.metric_math,
    "managed-password": databases.managed_password,
}


def apply(without: Iterable[str] = ()) -> None:
    """Apply every correction except those named in `without`."""
    left_out = set(without)
    if unknown := left_out - CORRECTIONS.keys():
        raise ValueError(f"unknown correction {', '.join(sorted(unknown))}; known: {', '.join(CORRECTIONS)}")
    for name, correct in CORRECTIONS.items():
        if name not in left_out:
            correct()

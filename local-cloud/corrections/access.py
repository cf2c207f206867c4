"""Access control, as far as `--auth` enforces it."""

import contextvars
from typing import Any

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.arn import parse_arn
from ministack.services import lambda_svc
from ministack.services.cloudformation import provisioners

# Requests that AWS authorizes as the action for a single item.
BATCH_ACTIONS = {
    "sns:PublishBatch": "sns:Publish",
    "sqs:ChangeMessageVisibilityBatch": "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessageBatch": "sqs:DeleteMessage",
    "sqs:SendMessageBatch": "sqs:SendMessage",
}

# What a function's role has to allow on an event source, by the source's service.
POLLING_ACTIONS = {
    "dynamodb": ["dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator"],
    "sqs": ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"],
}


def secure_transport() -> None:
    """Upstream takes every request on its plain port for an insecure one, and deliveries from SNS to SQS too: a
    policy that denies requests without TLS (`aws:SecureTransport`) locks everybody out. Requests on the loopback
    interface stand for TLS ones."""
    iam_evaluator._request_origin = contextvars.ContextVar("request_origin", default=("127.0.0.1", True))
    app.pin_request_origin = lambda source_ip, _secure: iam_evaluator.pin_request_origin(source_ip, True)


def batch_actions() -> None:
    """Upstream asks a policy for `sns:PublishBatch` and the batch actions of SQS, which IAM does not have; AWS
    asks for `sns:Publish`, `sqs:SendMessage` and so on."""
    extract_action = iam_actions.extract_iam_action

    def extract(*request):
        action = extract_action(*request)
        return BATCH_ACTIONS.get(action, action)

    iam_actions.extract_iam_action = extract


def mapping_permissions() -> None:
    """Upstream polls queues and streams for a function whatever its role allows; AWS refuses to create an event
    source mapping whose role may not read the source."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::Lambda::EventSourceMapping"]
    create_mapping = handlers["create"]

    def create(logical_id, properties, stack_name):
        if app.AUTH:
            _require_polling_permissions(properties)
        return create_mapping(logical_id, properties, stack_name)

    handlers["create"] = create


def _require_polling_permissions(properties: dict[str, Any]) -> None:
    source = parse_arn(properties["EventSourceArn"])
    needed = [(action, str(source)) for action in POLLING_ACTIONS[source.service]]
    on_failure = properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination", "")
    if on_failure.startswith("arn:aws:sqs:"):
        needed.append(("sqs:SendMessage", on_failure))
    name, _ = lambda_svc._resolve_name_and_qualifier(properties["FunctionName"])
    role = lambda_svc._functions[name]["config"]["Role"]
    policies = iam_evaluator._gather_role_policies(role.rpartition("/")[2], source.account_id)
    for action, resource in needed:
        context = iam_evaluator.EvalContext(
            principal_arn=role, principal_type="AssumedRole", principal_account=source.account_id,
            action=action, resource_arn=resource, region=source.region)
        if iam_evaluator.evaluate(context, policies).decision != "Allow":
            raise ValueError(f"the role {role} does not allow {action} on {resource}")

"""Access control, as far as `--auth` enforces it."""

import contextvars
from collections.abc import Iterable
from typing import Any

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.arn import parse_arn
from ministack.core.responses import error_response_json, get_account_id, get_region, request_scope
from ministack.services import kms, lambda_svc, s3, secretsmanager, sqs
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
    "dynamodb": [
        "dynamodb:DescribeStream", "dynamodb:GetRecords", "dynamodb:GetShardIterator", "dynamodb:ListStreams"],
    "sqs": ["sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"],
}

# What a function's role has to allow on its log group.
LOGGING_ACTIONS = ["logs:CreateLogStream", "logs:PutLogEvents"]

# Without which of a role's permissions AWS refuses to let a function join a VPC.
NETWORK_ACTIONS = ["ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface", "ec2:DescribeNetworkInterfaces"]

# What a caller has to be allowed, by the key's own policy or by the caller's, on the key that a resource is encrypted
# under.
KEY_ACTIONS = {
    "s3:GetObject": ["kms:Decrypt"],
    "s3:PutObject": ["kms:GenerateDataKey"],
    "secretsmanager:GetSecretValue": ["kms:Decrypt"],
    "secretsmanager:PutSecretValue": ["kms:GenerateDataKey", "kms:Decrypt"],
    "sqs:SendMessage": ["kms:GenerateDataKey", "kms:Decrypt"],
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
    """Upstream creates event source mappings for a function whatever its role allows; AWS refuses to create one
    whose role may not read the source, or not send to the mapping's destination for failures."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::Lambda::EventSourceMapping"]
    create_mapping = handlers["create"]

    def create(logical_id, properties, stack_name):
        if app.AUTH:
            _require_mapping_permissions(properties)
        return create_mapping(logical_id, properties, stack_name)

    handlers["create"] = create


def _require_mapping_permissions(properties: dict[str, Any]) -> None:
    needed = _polling(properties["EventSourceArn"])
    on_failure = properties.get("DestinationConfig", {}).get("OnFailure", {}).get("Destination", "")
    if on_failure.startswith("arn:aws:sqs:"):
        needed.append(("sqs:SendMessage", on_failure))
    name, _ = lambda_svc._resolve_name_and_qualifier(properties["FunctionName"])
    if refusal := _refusal(lambda_svc._functions[name]["config"]["Role"], needed):
        raise ValueError(refusal)


def polling_permissions() -> None:
    """Upstream polls queues and streams for a function even when its role is no longer allowed to; on AWS a mapping
    then stands still, and its `LastProcessingResult` says so. AWS finds out about `sqs:DeleteMessage` when it has
    called the function; here the messages stay where they are."""
    all_mappings = lambda_svc._iter_all_esms

    def readable_mappings():
        for account, region, mapping in all_mappings():
            if app.AUTH and mapping["Enabled"]:
                with request_scope(account, region):
                    function = lambda_svc._functions.get(mapping["FunctionName"])
                    refusal = function and _refusal(function["config"]["Role"], _polling(mapping["EventSourceArn"]))
                if refusal:
                    mapping["LastProcessingResult"] = f"PROBLEM: {refusal}"
                    continue
            yield account, region, mapping

    lambda_svc._iter_all_esms = readable_mappings


def log_permissions() -> None:
    """Upstream writes a function's log whatever its role allows; on AWS there is none without the permission."""
    write_log = lambda_svc._emit_lambda_logs

    def write_allowed_log(function, *arguments, **options):
        if may_write_log(function.get("config") or function):
            write_log(function, *arguments, **options)

    lambda_svc._emit_lambda_logs = write_allowed_log


def log_group(config: dict[str, Any]) -> str:
    """The name of a function's log group."""
    return (config.get("LoggingConfig") or {}).get("LogGroup") or f"/aws/lambda/{config['FunctionName']}"


def may_write_log(config: dict[str, Any]) -> bool:
    """Whether a function's role lets it write its log."""
    streams = f"arn:aws:logs:{get_region()}:{get_account_id()}:log-group:{log_group(config)}:log-stream:any"
    return not app.AUTH or not _refusal(config["Role"], [(action, streams) for action in LOGGING_ACTIONS])


def network_permissions() -> None:
    """Upstream lets a function join a VPC whatever its role allows; AWS refuses to make or change a function whose role
    may not do what it takes."""
    update_configuration = lambda_svc._update_config
    handlers = provisioners._RESOURCE_HANDLERS["AWS::Lambda::Function"]
    create_function, update_function = handlers["create"], handlers["update"]

    def update_allowed(name, settings):
        function = lambda_svc._functions.get(name)
        if function and (refusal := _network_refusal(function["config"]["Role"], settings)):
            return error_response_json("InvalidParameterValueException", refusal, 400)
        return update_configuration(name, settings)

    def create(logical_id, properties, stack_name):
        require_permissions(properties)
        return create_function(logical_id, properties, stack_name)

    def update(name, before, properties, *stack):
        require_permissions(properties)
        return update_function(name, before, properties, *stack)

    def require_permissions(properties):
        if refusal := _network_refusal(properties.get("Role", ""), properties):
            raise ValueError(refusal)

    lambda_svc._update_config = update_allowed
    handlers.update(create=create, update=update)


def _network_refusal(role: str, settings: dict[str, Any]) -> str | None:
    joins = app.AUTH and (settings.get("VpcConfig") or {}).get("SubnetIds")
    return _refusal(role, [(action, "*") for action in NETWORK_ACTIONS]) if joins else None


def key_permissions() -> None:
    """Upstream lets a caller read and write secrets, send messages, and put and get objects that are encrypted under a
    key of the account whatever the caller may do with the key; on AWS they are encrypted and decrypted in the caller's
    name."""
    enforce = iam_evaluator.enforce

    def enforce_with_key(access_key_id, action, service, region, resource_arn="*", service_context=None):
        denied = enforce(access_key_id, action, service, region, resource_arn, service_context)
        key = None if denied or action not in KEY_ACTIONS else kms._resolve_key(_key_of(service, resource_arn))
        if key is None:
            return denied
        context = {"kms:CallerAccount": get_account_id(), "kms:ViaService": f"{service}.{region}.amazonaws.com"}
        for key_action in KEY_ACTIONS[action]:
            if refused := enforce(access_key_id, key_action, "kms", region, key["Arn"], context):
                who = getattr(refused, "principal_arn", "nobody")
                return iam_evaluator.AuthError(
                    "AccessDeniedException",
                    f"User: {who} is not authorized to perform: {key_action} on the key {key['Arn']}")
        return None

    iam_evaluator.enforce = enforce_with_key


def _key_of(service: str, resource: str) -> str | None:
    """What a queue, a secret or an object's bucket says about its key."""
    if service == "s3":
        bucket = resource.rpartition(":")[2].partition("/")[0]
        return s3._bucket_default_sse_headers(bucket).get("x-amz-server-side-encryption-aws-kms-key-id")
    if service == "sqs":
        return (sqs._queue_by_arn(resource) or {}).get("attributes", {}).get("KmsMasterKeyId")
    secrets = secretsmanager._secrets.values()
    return next((secret.get("KmsKeyId") for secret in secrets if secret["ARN"] == resource), None)


def _polling(source: str) -> list[tuple[str, str]]:
    return [(action, source) for action in POLLING_ACTIONS[parse_arn(source).service]]


def _refusal(role: str, needed: Iterable[tuple[str, str]]) -> str | None:
    """The first of these actions on resources that a role does not allow, in words."""
    account = parse_arn(role).account_id
    policies = iam_evaluator._gather_role_policies(role.rpartition("/")[2], account)
    for action, resource in needed:
        context = iam_evaluator.EvalContext(
            principal_arn=role, principal_type="AssumedRole", principal_account=account,
            action=action, resource_arn=resource, region=get_region())
        if iam_evaluator.evaluate(context, policies).decision != "Allow":
            return f"the role {role} does not allow {action} on {resource}"
    return None

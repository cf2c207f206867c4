"""Who may do what."""

import dataclasses
import re
from collections.abc import Iterator
from typing import Any

from expansion import Resource, Stack, as_list, text, texts
from promises import at, promise, statements


@dataclasses.dataclass(frozen=True)
class Wildcard:
    """A `*` that can't be avoided."""

    type: str
    actions: frozenset[str] | None
    """Of which actions, if not of any."""
    place: str
    pattern: str
    reason: str
    conditions: frozenset[str] = frozenset()
    """What has to narrow it."""

    def covers(self, resource: Resource, statement: dict, place: str, value: str) -> bool:
        narrowed = {key for keys in statement.get("Condition", {}).values() for key in keys}
        return (resource.type == self.type and place == self.place and re.fullmatch(self.pattern, value) is not None
                and (self.actions is None or set(texts(statement.get("Action"))) <= self.actions)
                and self.conditions <= narrowed)


OF_THIS_ENVIRONMENT = r"arn:.*[:/](?:dev|staging|prod)[-/].*"

UNAVOIDABLE = [
    Wildcard("AWS::IAM::Role", frozenset({"xray:PutTelemetryRecords", "xray:PutTraceSegments"}), "Resource", r"\*",
             "X-Ray knows no resource that these actions could be limited to"),
    Wildcard("AWS::IAM::Role", frozenset({
        "ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
        "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses"}), "Resource", r"\*",
        "Lambda makes a VPC function's network interfaces, whose names nobody knows before, with the function's role"),
    Wildcard("AWS::IAM::Role", frozenset({"cloudwatch:DescribeAlarms"}), "Resource", r"\*",
             "CodeDeploy asks for all alarms at once"),
    Wildcard("AWS::IAM::Role", frozenset({"logs:DescribeLogGroups"}), "Resource", r"arn:.*:log-group:\*",
             "flow logs look for their group among all"),
    Wildcard("AWS::KMS::Key", None, "Resource", r"\*", "in a key's policy this is the key itself"),
    Wildcard("AWS::KMS::Key", frozenset({"kms:*"}), "Action", r"kms:\*",
             "without the account's own right a key could never be administered again"),
    Wildcard("AWS::KMS::Key", frozenset({"kms:Decrypt", "kms:GenerateDataKey"}), "Principal", r"\*",
             "whoever of the account may use the data may use its key, through the service that holds the data",
             frozenset({"kms:CallerAccount", "kms:ViaService"})),
    Wildcard("AWS::EC2::VPCEndpoint", None, "Principal", r"\*",
             "an endpoint limits what passes, for the account alone; the roles say who may do it"),
    Wildcard("AWS::EC2::VPCEndpoint", None, "Resource", OF_THIS_ENVIRONMENT,
             "an endpoint lets through to whatever this environment has"),
    Wildcard("AWS::EC2::VPCEndpoint", frozenset({"secretsmanager:GetSecretValue"}), "Resource",
             r"arn:.*:secret:rds!cluster-\*", "RDS names the secret of a database's password itself"),
    Wildcard("AWS::S3::BucketPolicy", frozenset({"s3:PutObject"}), "Resource", r"\$\{\w+\.Arn\}/.+/\*",
             "objects have no names before they are there"),
    Wildcard("AWS::S3::BucketPolicy", frozenset({"s3:GetObject"}), "Resource", r"\$\{\w+\.Arn\}/.+/\*",
             "a distribution shows all files", frozenset({"aws:SourceArn"})),
    Wildcard("AWS::IAM::Role", frozenset({"s3:DeleteObject", "s3:DeleteObjectVersion", "s3:GetObject", "s3:PutObject"}),
             "Resource", r"\$\{\w+\.Arn\}/.+/\*", "objects have no names before they are there"),
    Wildcard("AWS::Lambda::Permission", None, "SourceArn", r"arn:.*:execute-api:[^*]*:\*/\*",
             "the API is told of a function only once it may call it, so that its id can't be in the permission"),
    Wildcard("AWS::Lambda::Permission", None, "SourceArn", r"arn:.*:targetgroup/(?:dev|staging|prod)-[a-z-]+/\*",
             "a function can only be put into a target group that may call it, so that the group's id is not known yet"),
]

MANAGED_POLICIES = {
    "arn:${AWS::Partition}:iam::aws:policy/AWSLambdaManagedEC2ResourceOperator":
        "AWS keeps what a capacity provider has to do with EC2 in this policy",
}


@promise
def nothing_is_allowed_on_everything(stack: Stack) -> Iterator[str]:
    for resource in stack.all():
        for statement in grants(resource):
            for inverse in {"NotAction", "NotPrincipal", "NotResource"} & statement.keys():
                yield f"{resource}: {statement.get('Sid')} allows by {inverse}: name what is allowed"
            for place, value in wildcards(statement):
                if not any(known.covers(resource, statement, place, value) for known in UNAVOIDABLE):
                    yield f"{resource}: {statement.get('Sid')} has the {place} {value}: name what is meant"
        for policy in texts(resource.properties.get("ManagedPolicyArns")):
            if policy not in MANAGED_POLICIES:
                yield f"{resource}: the managed policy {policy} allows more than is needed: write out what is"


def grants(resource: Resource) -> Iterator[dict]:
    """Every statement that allows something. A function's permission is one, too."""
    yield from (statement for statement in statements(resource) if statement["Effect"] == "Allow")
    if resource.type == "AWS::Lambda::Permission":
        yield {"Sid": "it", **resource.properties}


def wildcards(statement: dict) -> Iterator[tuple[str, str]]:
    principal = statement.get("Principal")
    principals = [value for values in principal.values() for value in texts(values)] \
        if isinstance(principal, dict) else texts(principal)
    places = {place: texts(statement.get(place)) for place in ["Action", "Resource", "SourceArn"]}
    places["Principal"] = principals
    return ((place, value) for place, values in places.items() for value in values if "*" in value)


@promise
def no_role_may_scan(stack: Stack) -> Iterator[str]:
    for role in stack.all("AWS::IAM::Role"):
        for statement in statements(role):
            if "dynamodb:Scan" in as_list(statement["Action"]):
                yield f"{role}: {statement.get('Sid')} may read a whole table: query an index"


@promise
def no_service_may_touch_the_table_of_another(stack: Stack) -> Iterator[str]:
    for function in stack.all("AWS::Lambda::Function"):
        role = function.target(function.properties["Role"])
        name = at(function.properties, "Environment", "Variables", "TABLE_NAME")
        own = function.target(name)
        if name is not None and (own is None or own.type != "AWS::DynamoDB::Table"):
            yield f"{function}: TABLE_NAME names no table of the template"
            continue
        touched = {target for statement in statements(role) for value in as_list(statement.get("Resource"))
                   if (target := role.target(value)) and target.type == "AWS::DynamoDB::Table"}
        if own and own not in touched:
            yield f"{role}: may not touch {own.name}, the table of {function.name}"
        for other in sorted(touched - {own}, key=str):
            yield f"{role}: may touch {other.name}, which is not the table of {function.name}"


# What a function is told that it may use, and whose actions that is.
TOLD = {"TABLE_NAME": "dynamodb", "BUCKET_NAME": "s3", "EVENTS_TOPIC_ARN": "sns"}


@promise
def a_function_may_use_only_what_it_is_told_of(stack: Stack) -> Iterator[str]:
    for function in stack.all("AWS::Lambda::Function"):
        role = function.target(function.properties["Role"])
        told = {service for name, service in TOLD.items()
                if at(function.properties, "Environment", "Variables", name) is not None}
        for statement in grants(role):
            for action in texts(statement["Action"]):
                service = action.partition(":")[0]
                if service in set(TOLD.values()) - told:
                    yield f"{role}: {statement.get('Sid')} allows {action}, and {function.name} is told of nothing " \
                          "that it could be for"


@promise
def a_function_may_read_the_secrets_that_it_is_told_of(stack: Stack) -> Iterator[str]:
    for function in stack.all("AWS::Lambda::Function"):
        role = function.target(function.properties["Role"])
        readable = {text(value) for statement in grants(role)
                    if "secretsmanager:GetSecretValue" in texts(statement["Action"])
                    for value in as_list(statement["Resource"])}
        for name, value in (at(function.properties, "Environment", "Variables") or {}).items():
            if name.endswith("SECRET_ID") and text(value) not in readable:
                yield f"{role}: may not read {text(value)}, which is the {name} of {function.name}"


READS_SECRETS = {"secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"}


@promise
def only_its_rotation_writes_a_secret(stack: Stack) -> Iterator[str]:
    rotated = {function.target(function.properties["Role"]): schedule.target(schedule.properties["SecretId"])
               for schedule, function in rotations(stack)}
    for role in stack.all("AWS::IAM::Role"):
        for statement in grants(role):
            touched = set(map(role.target, as_list(statement.get("Resource"))))
            secrets = {target for target in touched if target and target.type == "AWS::SecretsManager::Secret"}
            writes = {action for action in texts(statement.get("Action"))
                      if action.startswith("secretsmanager:")} - READS_SECRETS
            if writes and role not in rotated:
                yield f"{role}: {statement.get('Sid')} may write a secret: that is for its rotation alone"
            if role in rotated and (secrets - {rotated[role]} or writes and None in touched):
                yield f"{role}: {statement.get('Sid')} reaches other secrets than {rotated[role].name}"


@promise
def every_rotation_is_called_for_its_secret_alone(stack: Stack) -> Iterator[str]:
    for schedule, function in rotations(stack):
        secret = schedule.target(schedule.properties["SecretId"])
        permissions = {
            permission.name for permission in stack.all("AWS::Lambda::Permission")
            if permission.target(permission.properties["FunctionName"]) == function
            and permission.properties["Principal"] == "secretsmanager.amazonaws.com"
            and permission.target(permission.properties.get("SourceArn")) == secret
            and text(permission.properties.get("SourceAccount")) == "${AWS::AccountId}"}
        if not permissions & set(as_list(schedule.definition.get("DependsOn"))):
            yield f"{schedule}: let it wait for a permission of Secrets Manager to call {function.name} for this " \
                  "account and secret"
        if function.target(at(function.properties, "Environment", "Variables", "SECRET_ID")) != secret:
            yield f"{function}: its SECRET_ID is not {secret.name}, which it is to rotate"
        if schedule.properties.get("RotateImmediatelyOnUpdate") is not False:
            yield f"{schedule}: rotates at deployments: set RotateImmediatelyOnUpdate to false"


def rotations(stack: Stack) -> Iterator[tuple[Resource, Resource]]:
    """What rotates secrets, each with its function."""
    for schedule in stack.all("AWS::SecretsManager::RotationSchedule"):
        yield schedule, schedule.target(schedule.properties["RotationLambdaARN"])


@promise
def nothing_is_sent_or_read_without_tls(stack: Stack) -> Iterator[str]:
    needed = {
        "AWS::SQS::Queue": ("AWS::SQS::QueuePolicy", "Queues",
                            {"sqs:DeleteMessage", "sqs:ReceiveMessage", "sqs:SendMessage"}),
        "AWS::SNS::Topic": ("AWS::SNS::TopicPolicy", "Topics", {"sns:Publish"}),
        "AWS::S3::Bucket": ("AWS::S3::BucketPolicy", "Bucket", {"s3:*"}),
    }
    for kind, (policy_type, subjects, actions) in needed.items():
        policies = stack.all(policy_type)
        for resource in stack.all(kind):
            refused = {
                action for policy in policies
                if resource in map(policy.target, as_list(policy.properties[subjects]))
                for statement in statements(policy) if refuses_without_tls(statement)
                and resource in map(policy.target, as_list(statement["Resource"]))
                for action in as_list(statement["Action"])}
            if missing := actions - refused:
                yield f"{resource}: {', '.join(sorted(missing))} is not refused without TLS: " \
                      f"deny it in an {policy_type} when aws:SecureTransport is false"


def refuses_without_tls(statement: dict) -> bool:
    return (statement["Effect"] == "Deny" and statement.get("Principal") in ("*", {"AWS": "*"})
            and at(statement, "Condition", "Bool", "aws:SecureTransport") in ("false", False))


@promise
def both_objects_and_bucket_need_tls(stack: Stack) -> Iterator[str]:
    for policy in stack.all("AWS::S3::BucketPolicy"):
        for statement in filter(refuses_without_tls, statements(policy)):
            bucket = policy.target(policy.properties["Bucket"]).name
            covered = set(texts(statement["Resource"]))
            if missing := {f"${{{bucket}.Arn}}", f"${{{bucket}.Arn}}/*"} - covered:
                yield f"{policy}: without TLS {', '.join(sorted(missing))} is not refused: add it to {statement['Sid']}"


SECRET_NAME = re.compile(r"password|secret|token|api_?key|credential|private_?key", re.IGNORECASE)
SAYS_HOW_TO_MAKE_OR_SEND_ONE = {
    "ClientPasswordAuthType", "GenerateStringKey", "PasswordLength", "SecretStringTemplate"}
DYNAMIC_REFERENCE = re.compile(r"\{\{resolve:(?:secretsmanager|ssm-secure):")
# What CloudFormation hands on without anybody else being able to read it.
TAKES_SECRETS = {("AWS::SecretsManager::Secret", "SecretStringTemplate"),
                 ("AWS::ElastiCache::ReplicationGroup", "AuthToken")}


@promise
def no_secret_is_written_out(stack: Stack) -> Iterator[str]:
    for resource in stack.all():
        for key, value in leaves(resource.properties):
            if DYNAMIC_REFERENCE.search(value):
                if (resource.type, key) not in TAKES_SECRETS:
                    yield f"{resource}: {key} would hold a secret that others can read: give the secret's ARN"
            elif SECRET_NAME.search(key) and key not in SAYS_HOW_TO_MAKE_OR_SEND_ONE and "${" not in value:
                yield f"{resource}: {key} holds a secret in plain text: let it be generated"


@promise
def no_output_tells_a_secret(stack: Stack) -> Iterator[str]:
    for part in stack.stacks():
        for name, output in part.template.get("Outputs", {}).items():
            if DYNAMIC_REFERENCE.search(text(output["Value"])):
                yield f"{part.source}: the output {name} tells a secret: give the secret's ARN"


def leaves(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    """Every text in a value, with the name that it stands under."""
    match node:
        case {"Ref": _} | {"Fn::GetAtt": _} | {"Fn::Sub": _} | {"Fn::Join": [_, [*_]]}:
            yield key, text(node)
        case dict():
            for name, value in node.items():
                yield from leaves(value, name)
        case list():
            for value in node:
                yield from leaves(value, key)
        case str():
            yield key, node


@promise
def a_secret_with_known_content_has_no_password(stack: Stack) -> Iterator[str]:
    for secret in stack.all("AWS::SecretsManager::Secret"):
        for key, value in re.findall(r'"(\w+)"\s*:\s*"([^"]*)"', text(secret.properties.get("SecretString", ""))):
            if SECRET_NAME.search(key) and not value.startswith("${"):
                yield f"{secret}: {key} stands in the template: let it be generated"

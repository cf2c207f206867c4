"""Files: who may put and get them, and who is told of them."""

from collections.abc import Iterator

from access import grants
from expansion import Resource, Stack, as_list, text, texts
from promises import at, function_of, promise


@promise
def no_service_may_touch_the_bucket_of_another(stack: Stack) -> Iterator[str]:
    for function in stack.all("AWS::Lambda::Function"):
        role = function.target(function.properties["Role"])
        own = function.target(at(function.properties, "Environment", "Variables", "BUCKET_NAME"))
        touched = {target for statement in grants(role) for value in as_list(statement.get("Resource"))
                   if (target := role.target(value)) and target.type == "AWS::S3::Bucket"}
        if own and own not in touched:
            yield f"{role}: may not touch {own.name}, the bucket of {function.name}"
        for other in sorted(touched - {own}, key=str):
            yield f"{role}: may touch {other.name}, which is not the bucket of {function.name}"


@promise
def objects_are_never_public(stack: Stack) -> Iterator[str]:
    for policy in stack.all("AWS::S3::BucketPolicy"):
        for statement in grants(policy):
            principal = statement.get("Principal")
            named = isinstance(principal, dict) and principal.keys() == {"Service"}
            writes = set(texts(statement["Action"])) == {"s3:PutObject"}
            if not named or not (writes or at(statement, "Condition", "StringEquals", "aws:SourceArn")):
                yield f"{policy}: {statement.get('Sid')} lets others read: name a service, and in aws:SourceArn " \
                      "for whom it reads"


@promise
def a_bucket_may_tell_of_its_objects_before_it_has_to(stack: Stack) -> Iterator[str]:
    for bucket, notification in notifications(stack):
        queue = bucket.target(notification["Queue"])
        policies = [policy.name for policy in stack.all("AWS::SQS::QueuePolicy")
                    if queue in map(policy.target, policy.properties["Queues"])]
        if not set(policies) & set(as_list(bucket.definition.get("DependsOn"))):
            yield f"{bucket}: S3 tries whether it may send to {queue.name}: let it wait for {', '.join(policies)}"


@promise
def a_service_is_told_of_the_objects_that_it_may_touch(stack: Stack) -> Iterator[str]:
    consumers = {mapping.target(mapping.properties["EventSourceArn"]):
                 function_of(mapping, mapping.properties["FunctionName"])
                 for mapping in stack.all("AWS::Lambda::EventSourceMapping")}
    for bucket, notification in notifications(stack):
        function = consumers.get(bucket.target(notification["Queue"]))
        role = function and function.target(function.properties["Role"])
        rules = at(notification, "Filter", "S3Key", "Rules") or []
        prefixes = {rule["Value"] for rule in rules if rule["Name"] == "prefix"}
        allowed = {text(value).partition("/")[2].removesuffix("*") for statement in grants(role)
                   if "s3:GetObject" in texts(statement["Action"]) for value in as_list(statement["Resource"])
                   if role.target(value) == bucket} if role else set()
        if prefixes != allowed:
            yield f"{bucket}: tells of {', '.join(sorted(prefixes)) or 'everything'}, and who hears it may read " \
                  f"{', '.join(sorted(allowed)) or 'nothing'}"


@promise
def the_distribution_may_decrypt_what_it_may_read(stack: Stack) -> Iterator[str]:
    readers = {source for policy in stack.all("AWS::S3::BucketPolicy") for source in distributions(policy)}
    for key in stack.all("AWS::KMS::Key"):
        if missing := readers - distributions(key):
            yield f"{key}: {', '.join(sorted(missing))} may read objects that it can't decrypt: let it use the key"


def distributions(policy: Resource) -> set[str]:
    """The distributions that a policy lets do something."""
    return {text(at(statement, "Condition", "StringEquals", "aws:SourceArn")) for statement in grants(policy)
            if at(statement, "Principal", "Service") == "cloudfront.amazonaws.com"}


def notifications(stack: Stack) -> Iterator[tuple[Resource, dict]]:
    for bucket in stack.all("AWS::S3::Bucket"):
        for notification in as_list(at(bucket.properties, "NotificationConfiguration", "QueueConfigurations")):
            yield bucket, notification

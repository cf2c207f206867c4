"""Queues, what calls functions, and how long each waits for the other."""

from collections.abc import Iterator

from expansion import Resource, Stack, as_list, text
from promises import at, function_of, promise, statements

FOURTEEN_DAYS_S = 14 * 24 * 3600
# What an HTTP API waits for an integration that says nothing else.
HTTP_API_TIMEOUT_MS = 30_000
# What a load balancer waits for the next byte if it says nothing else.
LOAD_BALANCER_TIMEOUT_S = 60


def dead_letter_queues(stack: Stack) -> set[Resource]:
    """The queues that take what others could not handle."""
    destinations = [("AWS::SQS::Queue", ("RedrivePolicy", "deadLetterTargetArn")),
                    ("AWS::SNS::Subscription", ("RedrivePolicy", "deadLetterTargetArn")),
                    ("AWS::Lambda::EventSourceMapping", ("DestinationConfig", "OnFailure", "Destination"))]
    return {target for kind, path in destinations for resource in stack.all(kind)
            if (target := resource.target(at(resource.properties, *path)))}


@promise
def every_queue_has_a_dead_letter_queue_or_is_one(stack: Stack) -> Iterator[str]:
    dead_letters = dead_letter_queues(stack)
    for queue in stack.all("AWS::SQS::Queue"):
        redrive = queue.properties.get("RedrivePolicy")
        if redrive is None:
            if queue not in dead_letters:
                yield f"{queue}: has no dead-letter queue: give it a RedrivePolicy"
            continue
        target = queue.target(redrive.get("deadLetterTargetArn"))
        if target is None or target.type != "AWS::SQS::Queue":
            yield f"{queue}: its dead-letter queue is not in the template"
        if redrive.get("maxReceiveCount") != 3:
            yield f"{queue}: set maxReceiveCount to 3"
        if queue.properties.get("ReceiveMessageWaitTimeSeconds") != 20:
            yield f"{queue}: set ReceiveMessageWaitTimeSeconds to 20, so that nobody pays for asking an empty queue"


@promise
def every_queue_takes_from_those_who_send_to_it_alone(stack: Stack) -> Iterator[str]:
    wanted: dict[Resource, set[tuple[str, str]]] = {}

    def needs(queue: Resource | None, service: str, source: str) -> None:
        if queue:
            wanted.setdefault(queue, set()).add((service, source))

    for subscription in stack.all("AWS::SNS::Subscription"):
        topic = text(subscription.properties["TopicArn"])
        for place in [("Endpoint",), ("RedrivePolicy", "deadLetterTargetArn")]:
            needs(subscription.target(at(subscription.properties, *place)), "sns.amazonaws.com", topic)
    for bucket in stack.all("AWS::S3::Bucket"):
        name = f"arn:${{AWS::Partition}}:s3:::{text(bucket.properties['BucketName'])}"
        for notification in as_list(at(bucket.properties, "NotificationConfiguration", "QueueConfigurations")):
            needs(bucket.target(notification["Queue"]), "s3.amazonaws.com", name)

    for queue in stack.all("AWS::SQS::Queue"):
        allowed = set()
        for policy in stack.all("AWS::SQS::QueuePolicy"):
            for statement in statements(policy):
                if statement["Effect"] == "Allow" and queue in map(policy.target, as_list(statement["Resource"])):
                    service = at(statement, "Principal", "Service")
                    allowed.add((service, text(at(statement, "Condition", "ArnEquals", "aws:SourceArn"))))
                    # A bucket's ARN names no account, and its name can be another's once it is deleted.
                    if service == "s3.amazonaws.com" and not at(statement, "Condition", "StringEquals",
                                                                "aws:SourceAccount"):
                        yield f"{policy}: {statement['Sid']} would take from a bucket of that name in any account: " \
                              "name the account in aws:SourceAccount"
        for service, source in sorted(wanted.get(queue, set()) - allowed):
            yield f"{queue}: {service} may not send to it for {source}: allow that in its policy"
        for service, source in sorted(allowed - wanted.get(queue, set())):
            yield f"{queue}: {service} may send to it for {source}, which does not: refuse that in its policy"


@promise
def every_queue_keeps_messages_for_14_days(stack: Stack) -> Iterator[str]:
    for queue in stack.all("AWS::SQS::Queue"):
        if queue.properties.get("MessageRetentionPeriod") != FOURTEEN_DAYS_S:
            yield f"{queue}: set MessageRetentionPeriod to {FOURTEEN_DAYS_S}"


@promise
def every_dead_letter_queue_says_who_may_use_it(stack: Stack) -> Iterator[str]:
    sources: dict[Resource, set[str]] = {queue: set() for queue in dead_letter_queues(stack)}
    for queue in stack.all("AWS::SQS::Queue"):
        if target := queue.target(at(queue.properties, "RedrivePolicy", "deadLetterTargetArn")):
            sources[target].add(text(queue.properties["QueueName"]))
    for queue, names in sources.items():
        allowed = queue.properties.get("RedriveAllowPolicy", {})
        named = {text(arn).rsplit(":", 1)[-1] for arn in as_list(allowed.get("sourceQueueArns"))}
        if named != names or allowed.get("redrivePermission") != ("byQueue" if names else "denyAll"):
            wanted = f"byQueue for {', '.join(sorted(names))}" if names else "denyAll"
            yield f"{queue}: its RedriveAllowPolicy has to be {wanted}"


@promise
def every_dead_letter_queue_has_an_alarm_on_its_depth(stack: Stack) -> Iterator[str]:
    watched = {
        text(dimension["Value"]) for alarm in stack.all("AWS::CloudWatch::Alarm")
        if alarm.properties.get("Namespace") == "AWS/SQS"
        and alarm.properties.get("MetricName") == "ApproximateNumberOfMessagesVisible"
        and alarm.properties.get("ComparisonOperator") == "GreaterThanThreshold"
        and alarm.properties.get("Threshold") == 0
        for dimension in alarm.properties["Dimensions"] if dimension["Name"] == "QueueName"}
    for queue in sorted(dead_letter_queues(stack), key=str):
        if (name := text(queue.properties["QueueName"])) not in watched:
            yield f"{queue}: no alarm says when {name} is not empty: add one in stacks/monitoring.yaml"


@promise
def every_alarm_is_sent_to_somebody(stack: Stack) -> Iterator[str]:
    for alarm in stack.all("AWS::CloudWatch::Alarm"):
        for actions in ["AlarmActions", "OKActions"]:
            targets = list(map(alarm.target, alarm.properties.get(actions, [])))
            if not any(target and target.type == "AWS::SNS::Topic" for target in targets):
                yield f"{alarm}: its {actions} reach no topic"
        if not alarm.properties.get("AlarmDescription"):
            yield f"{alarm}: say in AlarmDescription what it means"


@promise
def every_batch_can_fail_in_part(stack: Stack) -> Iterator[str]:
    for mapping in stack.all("AWS::Lambda::EventSourceMapping"):
        if mapping.properties.get("FunctionResponseTypes") != ["ReportBatchItemFailures"]:
            yield f"{mapping}: one bad record fails its neighbours: set FunctionResponseTypes to " \
                  "[ReportBatchItemFailures]"


@promise
def every_stream_sets_aside_what_fails(stack: Stack) -> Iterator[str]:
    for mapping in stack.all("AWS::Lambda::EventSourceMapping"):
        if mapping.target(mapping.properties["EventSourceArn"]).type != "AWS::DynamoDB::Table":
            continue
        destination = mapping.target(at(mapping.properties, "DestinationConfig", "OnFailure", "Destination"))
        if destination is None or destination.type != "AWS::SQS::Queue":
            yield f"{mapping}: set DestinationConfig.OnFailure to the stream's dead-letter queue"
        if mapping.properties.get("BisectBatchOnFunctionError") is not True:
            yield f"{mapping}: set BisectBatchOnFunctionError, so that a record that ends the process is found"


@promise
def everything_calls_an_alias(stack: Stack) -> Iterator[str]:
    # A rotation is tried again until it succeeds: its function has no alias.
    without = {schedule.target(schedule.properties["RotationLambdaARN"])
               for schedule in stack.all("AWS::SecretsManager::RotationSchedule")}
    for caller in stack.all("AWS::Lambda::EventSourceMapping", "AWS::Lambda::Permission"):
        function = caller.properties["FunctionName"]
        if function_of(caller, function) is None and caller.target(function) not in without:
            yield f"{caller}: calls a function past its alias, and so past safe deployments: name the alias"
    for api, integration in integrations(stack):
        if function_of(api, integration["uri"]) is None:
            yield f"{api}: {text(integration['uri'])} is not an alias: name the alias"
    for group in stack.all("AWS::ElasticLoadBalancingV2::TargetGroup"):
        for target in group.properties["Targets"]:
            if function_of(group, target["Id"]) is None:
                yield f"{group}: its target is not an alias: name the alias"


@promise
def every_permission_names_who_calls(stack: Stack) -> Iterator[str]:
    for permission in stack.all("AWS::Lambda::Permission"):
        if "SourceArn" not in permission.properties:
            yield f"{permission}: lets {text(permission.properties['Principal'])} call for anybody: set SourceArn"


def integrations(stack: Stack) -> Iterator[tuple[Resource, dict]]:
    for api in stack.all("AWS::ApiGatewayV2::Api"):
        definition = api.properties["Body"]
        for integration in definition["components"]["x-amazon-apigateway-integrations"].values():
            yield api, integration


@promise
def every_function_answers_before_its_caller_gives_up(stack: Stack) -> Iterator[str]:
    for api, integration in integrations(stack):
        if function := function_of(api, integration["uri"]):
            patience = integration.get("timeoutInMillis", HTTP_API_TIMEOUT_MS) / 1000
            yield from too_long(function, patience, f"{api.name} gives up")
    for balancer in stack.all("AWS::ElasticLoadBalancingV2::LoadBalancer"):
        attributes = {item["Key"]: item["Value"] for item in balancer.properties["LoadBalancerAttributes"]}
        patience = float(attributes.get("idle_timeout.timeout_seconds", LOAD_BALANCER_TIMEOUT_S))
        for group in balancer.stack.all("AWS::ElasticLoadBalancingV2::TargetGroup"):
            for target in group.properties["Targets"]:
                if function := function_of(group, target["Id"]):
                    yield from too_long(function, patience, f"{balancer.name} gives up")


def too_long(function: Resource, patience_s: float, what: str) -> Iterator[str]:
    timeout = function.properties.get("Timeout", 3)
    if timeout >= patience_s:
        yield f"{function}: may take {timeout} s, but {what} after {patience_s:g} s: lower its Timeout"


@promise
def a_message_stays_hidden_while_it_is_handled(stack: Stack) -> Iterator[str]:
    for mapping in stack.all("AWS::Lambda::EventSourceMapping"):
        queue = mapping.target(mapping.properties["EventSourceArn"])
        function = function_of(mapping, mapping.properties["FunctionName"])
        if queue.type != "AWS::SQS::Queue" or function is None:
            continue
        window = mapping.properties.get("MaximumBatchingWindowInSeconds", 0)
        needed = 6 * function.properties.get("Timeout", 3) + window
        if (given := queue.properties.get("VisibilityTimeout", 30)) < needed:
            yield f"{queue}: a message shows again after {given} s: set VisibilityTimeout to {needed} at least, six " \
                  f"times the Timeout of {function.name} and the batching window"


@promise
def every_queue_is_consumed(stack: Stack) -> Iterator[str]:
    consumed = {mapping.target(mapping.properties["EventSourceArn"])
                for mapping in stack.all("AWS::Lambda::EventSourceMapping")}
    for queue in stack.all("AWS::SQS::Queue"):
        if queue not in consumed | dead_letter_queues(stack):
            yield f"{queue}: nobody reads it: add an AWS::Lambda::EventSourceMapping"


@promise
def a_version_is_described_like_its_function(stack: Stack) -> Iterator[str]:
    for version in stack.all("AWS::Lambda::Version"):
        function = version.target(version.properties["FunctionName"])
        if version.properties.get("Description") != function.properties.get("Description"):
            yield f"{function}: Lambda publishes no version of what has not changed, and so refuses one that has " \
                  "another description alone: give Description the text of VersionDescription"


# What Lambda changes in a version that there is, and not by publishing another.
IN_PLACE = {"FunctionScalingConfig"}


def changes_without_a_version(before: Stack, after: Stack) -> Iterator[str]:
    """Functions that other parameters change without publishing a version: who calls the alias would still get the
    settings of before.
    """
    for function, changed, published in changes(before, after):
        if changed and not published:
            yield f"{function}: its {', '.join(changed)} changes without a new version: name the parameter in its " \
                  "VersionDescription"


def versions_without_a_change(before: Stack, after: Stack) -> Iterator[str]:
    """Functions that other parameters publish a version of for nothing but its description."""
    for function, changed, published in changes(before, after):
        if published and not set(changed) - {"Description"}:
            yield f"{function}: gets a new version though nothing changes: name in its VersionDescription only " \
                  "parameters that change it, and these only where they do"


def changes(before: Stack, after: Stack) -> Iterator[tuple[Resource, list[str], bool]]:
    """The functions of both stacks: what changes in each, and whether a version is published. A function under another
    name is another function.
    """
    then, now = ({alias.name: [alias.target(alias.properties[key]) for key in ["FunctionName", "FunctionVersion"]]
                  for alias in stack.all("AWS::Lambda::Alias")} for stack in [before, after])
    for name in now.keys() & then.keys():
        (old, old_version), (function, version) = then[name], now[name]
        changed = differences(old, function)
        if "FunctionName" not in changed:
            yield function, changed, version != old_version or bool(differences(old_version, version))


def differences(old: Resource, new: Resource) -> list[str]:
    before, after = (resource.stack.with_outputs(resource.properties) for resource in [old, new])
    return sorted(key for key in (before.keys() | after.keys()) - IN_PLACE if before.get(key) != after.get(key))


def targets_that_change_in_place(before: Stack, after: Stack) -> Iterator[str]:
    """Target groups that would have to change their function, which they can't, instead of being replaced."""
    then = {group.name: group for group in before.all("AWS::ElasticLoadBalancingV2::TargetGroup")}
    for group in after.all("AWS::ElasticLoadBalancingV2::TargetGroup"):
        old = then.get(group.name)
        if old is None or old.properties["Name"] != group.properties["Name"]:
            continue
        functions = [{str(function_of(of, target["Id"])) for target in of.properties["Targets"]} for of in [old, group]]
        if functions[0] != functions[1]:
            yield f"{group}: can't change its function: give it another Name with another function"

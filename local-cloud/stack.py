"""A stack that `sam deploy` has put into the cloud at AWS_ENDPOINT_URL.

    python stack.py outputs dev                        # prints them as a JSON object
    python stack.py passwords dev                      # those that its cache and its database were made with
    python stack.py deploy dev everything-on Name=x    # the same template with a set of parameters from
                                                       # template-checks/variants.json, and some of one's own
    python stack.py delete dev                         # empties its buckets first; fails if anything is left
"""

import json
import sys
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import boto3
import botocore.exceptions

VARIANTS = Path(__file__).parent.parent / "template-checks" / "variants.json"
# What `sam deploy` allows, too (samconfig.toml): no role has a name of its own.
CAPABILITIES = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
# What callers call, whichever version of a function it stands for.
ALIAS = "live"
# How the settings begin in which a version differs from the function that it was published of.
OF_A_VERSION = ("Description", "FunctionArn", "Last", "ResponseMetadata", "RevisionId", "State", "Version")
# The bucket that `sam deploy` makes for what it uploads, with a stack around it.
SAM_STACK = "aws-sam-cli-managed-default"
POLL_S = 0.1


def main() -> None:
    try:
        match sys.argv[1:]:
            case ["outputs", name]:
                print(json.dumps(outputs(describe(name))))
            case ["passwords", name]:
                print(json.dumps(passwords(outputs(describe(name)))))
            case ["deploy", name, variant, *own]:
                deploy(name, variant, dict(parameter.split("=", 1) for parameter in own))
            case ["delete", name]:
                delete(name)
            case _:
                sys.exit(__doc__)
    except (LookupError, RuntimeError, botocore.exceptions.ClientError) as error:
        sys.exit(f"stack: {error}")


def describe(name: str) -> dict[str, Any]:
    stack, = boto3.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
    return stack


def outputs(stack: dict[str, Any]) -> dict[str, str]:
    return {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}


def passwords(of: dict[str, str]) -> dict[str, dict[str, str]]:
    """What a Redis and a PostgreSQL need to stand in for the stack's, as far as it has these."""
    secrets = boto3.client("secretsmanager")

    def secret(arn: str) -> dict[str, str]:
        return json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])

    found = {}
    if arn := of.get("CacheSecretArn"):
        found["cache"] = secret(arn)
    if arn := of.get("ReportingDatabaseSecretArn"):
        database = secret(arn)
        found["database"] = {"dbname": database["dbname"], **secret(database["password_secret_arn"])}
    return found


def deploy(name: str, variant: str, own: dict[str, str]) -> None:
    """Update the stack, or create it if it was deleted."""
    cloudformation = boto3.client("cloudformation")
    exists, template = _packaged_template(name)
    known = cloudformation.get_template_summary(TemplateURL=template)["Parameters"]
    # An update keeps the value of each parameter that it does not give.
    values = {parameter["ParameterKey"]: parameter.get("DefaultValue", "") for parameter in known}
    values |= json.loads(VARIANTS.read_text())[variant] | own
    if values["HostedZoneId"]:
        values["HostedZoneId"] = _hosted_zone(values["DomainName"].partition(".")[2])
    change = cloudformation.update_stack if exists else cloudformation.create_stack
    stack_id = change(
        StackName=name, TemplateURL=template, Capabilities=CAPABILITIES,
        Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in values.items()])["StackId"]
    _require(stack_id, {"CREATE_COMPLETE", "UPDATE_COMPLETE"})
    _require_served()


def _require_served() -> None:
    """Require that callers get the functions that were deployed: a version is only published when CloudFormation sees
    a change in it, and a changed parameter alone is none."""
    functions = boto3.client("lambda")
    for function in functions.list_functions()["Functions"]:
        name = function["FunctionName"]
        if not functions.list_aliases(FunctionName=name)["Aliases"]:
            continue  # It is called itself, and so as it was deployed last.
        deployed = functions.get_function_configuration(FunctionName=name)
        served = functions.get_function_configuration(FunctionName=name, Qualifier=ALIAS)
        if stale := [key for key in deployed | served
                     if deployed.get(key) != served.get(key) and not key.startswith(OF_A_VERSION)]:
            raise RuntimeError(f"{name}:{ALIAS} is of a version with another {', '.join(stale)}: name what decides "
                               "that in the function's VersionDescription (template.yaml)")


def _packaged_template(name: str) -> tuple[bool, str]:
    """Whether the stack exists, and the address of its template, which is too long for a request."""
    bucket, key = outputs(describe(SAM_STACK))["SourceBucket"], f"{name}/packaged.template"
    address = f"https://s3.{boto3.session.Session().region_name}.amazonaws.com/{bucket}/{key}"
    try:
        describe(name)
    except botocore.exceptions.ClientError as error:
        if "does not exist" not in str(error):
            raise
        return False, address
    template = boto3.client("cloudformation").get_template(StackName=name, TemplateStage="Original")
    boto3.client("s3").put_object(Bucket=bucket, Key=key, Body=template["TemplateBody"])
    return True, address


def _hosted_zone(domain: str) -> str:
    """The id of the zone of a domain. The one in the parameters is an example: AWS chooses it."""
    route53 = boto3.client("route53")
    zones = {zone["Name"]: zone for zone in route53.list_hosted_zones()["HostedZones"]}
    zone = zones.get(f"{domain}.") or route53.create_hosted_zone(Name=domain, CallerReference=domain)["HostedZone"]
    return zone["Id"].rpartition("/")[2]


def delete(name: str) -> None:
    cloudformation = boto3.client("cloudformation")
    stack_id = describe(name)["StackId"]
    for resource in cloudformation.describe_stack_resources(StackName=name)["StackResources"]:
        if resource["ResourceType"] == "AWS::S3::Bucket":
            boto3.resource("s3").Bucket(resource["PhysicalResourceId"]).object_versions.delete()
    cloudformation.delete_stack(StackName=name)
    _require(stack_id, {"DELETE_COMPLETE"})
    if left := [f"{service}: {found}" for service, names in _everything() for found in names]:
        raise RuntimeError("the deleted stack has left behind\n  " + "\n  ".join(left))


def _everything() -> Iterable[tuple[str, list[str]]]:
    """What is in the cloud, besides what was there before the stack. A key outlives it, so that it counts by its
    aliases."""

    def found(service: str, operation: str, path: str, name: str | None = None, wanted: Callable = lambda _: True,
              **parameters: str) -> tuple[str, list[str]]:
        entries = getattr(boto3.client(service), operation)(**parameters).get(path, [])
        return f"{service} {path}", [entry[name] if name else entry for entry in entries if wanted(entry)]

    return [
        found("apigatewayv2", "get_apis", "Items", "Name"),
        found("apigatewayv2", "get_domain_names", "Items", "DomainName"),
        found("cloudformation", "list_stacks", "StackSummaries", "StackName",
              lambda stack: stack["StackName"] != SAM_STACK and stack["StackStatus"] != "DELETE_COMPLETE"),
        found("cloudwatch", "describe_alarms", "MetricAlarms", "AlarmName"),
        found("cloudwatch", "list_dashboards", "DashboardEntries", "DashboardName"),
        found("dynamodb", "list_tables", "TableNames"),
        found("ec2", "describe_vpcs", "Vpcs", "VpcId", lambda vpc: not vpc["IsDefault"]),
        found("ec2", "describe_security_groups", "SecurityGroups", "GroupName",
              lambda group: group["GroupName"] != "default"),
        found("elasticache", "describe_replication_groups", "ReplicationGroups", "ReplicationGroupId"),
        found("elbv2", "describe_load_balancers", "LoadBalancers", "LoadBalancerName"),
        found("elbv2", "describe_target_groups", "TargetGroups", "TargetGroupName"),
        found("iam", "list_roles", "Roles", "RoleName"),
        found("kms", "list_aliases", "Aliases", "AliasName",
              lambda alias: not alias["AliasName"].startswith("alias/aws/")),
        found("lambda", "list_functions", "Functions", "FunctionName"),
        found("lambda", "list_event_source_mappings", "EventSourceMappings", "EventSourceArn"),
        found("logs", "describe_log_groups", "logGroups", "logGroupName"),
        found("rds", "describe_db_clusters", "DBClusters", "DBClusterIdentifier"),
        found("rds", "describe_db_instances", "DBInstances", "DBInstanceIdentifier"),
        found("s3", "list_buckets", "Buckets", "Name", lambda bucket: not bucket["Name"].startswith(SAM_STACK)),
        found("secretsmanager", "list_secrets", "SecretList", "Name"),
        found("sns", "list_topics", "Topics", "TopicArn"),
        found("sqs", "list_queues", "QueueUrls"),
        found("wafv2", "list_web_acls", "WebACLs", "Name", Scope="REGIONAL"),
    ]


def _require(stack_id: str, good: set[str]) -> None:
    """Await the end of a change, and require that it is a good one."""
    pause = threading.Event()
    while (status := describe(stack_id)["StackStatus"]).endswith("IN_PROGRESS"):
        pause.wait(POLL_S)
    if status not in good:
        events = boto3.client("cloudformation").describe_stack_events(StackName=stack_id)["StackEvents"]
        failures = [f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason')}" for event in events
                    if event["ResourceStatus"].endswith("FAILED")]
        raise RuntimeError(f"the change ended with {status}\n  " + "\n  ".join(failures))


if __name__ == "__main__":
    main()

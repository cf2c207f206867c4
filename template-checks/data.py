"""What is stored: encrypted, restorable, and kept as long as it has to be."""

from collections.abc import Iterator

from expansion import Resource, Stack, text, texts
from promises import at, promise

LOG_DAYS = 30


@promise
def every_table_is_encrypted_and_can_be_restored(stack: Stack) -> Iterator[str]:
    for table in stack.all("AWS::DynamoDB::Table"):
        if at(table.properties, "SSESpecification", "SSEEnabled") is not True:
            yield f"{table}: set SSESpecification.SSEEnabled"
        if at(table.properties, "PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled") is not True:
            yield f"{table}: set PointInTimeRecoverySpecification.PointInTimeRecoveryEnabled"


@promise
def every_table_streams_both_images(stack: Stack) -> Iterator[str]:
    for table in stack.all("AWS::DynamoDB::Table"):
        if at(table.properties, "StreamSpecification", "StreamViewType") != "NEW_AND_OLD_IMAGES":
            yield f"{table}: events are made of both images: set StreamViewType to NEW_AND_OLD_IMAGES"


@promise
def every_bucket_is_private_versioned_and_encrypted(stack: Stack) -> Iterator[str]:
    for bucket in stack.all("AWS::S3::Bucket"):
        for setting in ["BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"]:
            if at(bucket.properties, "PublicAccessBlockConfiguration", setting) is not True:
                yield f"{bucket}: set PublicAccessBlockConfiguration.{setting}"
        if at(bucket.properties, "VersioningConfiguration", "Status") != "Enabled":
            yield f"{bucket}: set VersioningConfiguration.Status to Enabled"
        if not at(bucket.properties, "BucketEncryption", "ServerSideEncryptionConfiguration", 0,
                  "ServerSideEncryptionByDefault", "SSEAlgorithm"):
            yield f"{bucket}: set BucketEncryption"


# Where each type names the key that it is encrypted with.
KEYS = {
    "AWS::DynamoDB::Table": ("SSESpecification", "KMSMasterKeyId"),
    "AWS::ElastiCache::ReplicationGroup": ("KmsKeyId",),
    "AWS::Logs::LogGroup": ("KmsKeyId",),
    "AWS::RDS::DBCluster": ("KmsKeyId",),
    "AWS::S3::Bucket": ("BucketEncryption", "ServerSideEncryptionConfiguration", 0, "ServerSideEncryptionByDefault",
                        "KMSMasterKeyID"),
    "AWS::SNS::Topic": ("KmsMasterKeyId",),
    "AWS::SQS::Queue": ("KmsMasterKeyId",),
    "AWS::SecretsManager::Secret": ("KmsKeyId",),
}
# Load balancers can't write to a bucket that has a key of its own.
WITHOUT_THE_KEY = {"AccessLogsBucket"}


@promise
def with_a_key_of_its_own_the_stack_encrypts_everything_with_it(stack: Stack) -> Iterator[str]:
    if not stack.all("AWS::KMS::Key"):
        return
    for kind, path in KEYS.items():
        for resource in stack.all(kind):
            key = resource.target(at(resource.properties, *path))
            if (key is None or key.type != "AWS::KMS::Key") and resource.name not in WITHOUT_THE_KEY:
                yield f"{resource}: is not encrypted with the stack's key: set {'.'.join(map(str, path))}"


@promise
def every_log_group_forgets_after_30_days(stack: Stack) -> Iterator[str]:
    for group in stack.all("AWS::Logs::LogGroup"):
        if group.properties.get("RetentionInDays") != LOG_DAYS:
            yield f"{group}: set RetentionInDays to {LOG_DAYS}"


@promise
def whatever_logs_has_a_log_group_of_the_stack(stack: Stack) -> Iterator[str]:
    for kind, path in {"AWS::Lambda::Function": ("LoggingConfig", "LogGroup"),
                       "AWS::ApiGatewayV2::Stage": ("AccessLogSettings", "DestinationArn")}.items():
        for resource in stack.all(kind):
            group = resource.target(at(resource.properties, *path))
            if group is None or group.type != "AWS::Logs::LogGroup":
                yield f"{resource}: {'.'.join(path)} is not a log group of the template, and so kept for ever"
    names = {text(group.properties["LogGroupName"]) for group in stack.all("AWS::Logs::LogGroup")}
    for cluster in stack.all("AWS::RDS::DBCluster"):
        for log in texts(cluster.properties.get("EnableCloudwatchLogsExports")):
            name = f"/aws/rds/cluster/{text(cluster.properties['DBClusterIdentifier'])}/{log}"
            if name not in names:
                yield f"{cluster}: there is no log group {name}, and so RDS makes one that is kept for ever"
    for proxy in stack.all("AWS::RDS::DBProxy"):
        if (name := f"/aws/rds/proxy/{text(proxy.properties['DBProxyName'])}") not in names:
            yield f"{proxy}: there is no log group {name}, and so RDS makes one that is kept for ever"


# What can't be made again, and how it outlives its stack.
KEPT = {
    "AWS::DynamoDB::Table": {"Retain"},
    "AWS::RDS::DBCluster": {"Retain", "Snapshot"},
    "AWS::S3::Bucket": {"Retain"},
}
PROTECTED = {"AWS::DynamoDB::Table": "DeletionProtectionEnabled", "AWS::RDS::DBCluster": "DeletionProtection"}


@promise
def data_outlives_the_stack_in_prod(stack: Stack) -> Iterator[str]:
    if not in_prod(stack):
        return
    for kind, policies in KEPT.items():
        for resource in stack.all(kind):
            for policy in ["DeletionPolicy", "UpdateReplacePolicy"]:
                if resource.definition.get(policy) not in policies:
                    yield f"{resource}: would be lost: set its {policy} to {' or '.join(sorted(policies))} in prod"
    for kind, setting in PROTECTED.items():
        for resource in stack.all(kind):
            if not is_on(resource, setting):
                yield f"{resource}: set {setting} in prod"


@promise
def nothing_holds_up_the_deletion_of_a_stack_for_trials(stack: Stack) -> Iterator[str]:
    if in_prod(stack):
        return
    for resource in stack.all(*KEPT):
        if resource.definition.get("DeletionPolicy") == "Retain":
            yield f"{resource}: would stay behind, and its name be taken: set its DeletionPolicy to Delete outside prod"
    for kind, setting in PROTECTED.items():
        for resource in stack.all(kind):
            if is_on(resource, setting):
                yield f"{resource}: can't be deleted: set {setting} in prod alone"


@promise
def the_key_outlives_what_is_encrypted_with_it(stack: Stack) -> Iterator[str]:
    for key in stack.all("AWS::KMS::Key"):
        for policy in ["DeletionPolicy", "UpdateReplacePolicy"]:
            if key.definition.get(policy) != "Retain":
                yield f"{key}: messages, backups and objects would be unreadable at once: set its {policy} to Retain"


@promise
def a_bucket_keeps_its_policy(stack: Stack) -> Iterator[str]:
    for bucket_policy in stack.all("AWS::S3::BucketPolicy"):
        bucket = bucket_policy.target(bucket_policy.properties["Bucket"])
        for policy in ["DeletionPolicy", "UpdateReplacePolicy"]:
            if bucket_policy.definition.get(policy) != (wanted := bucket.definition.get(policy)):
                yield f"{bucket_policy}: {bucket.name} would lose it: set its {policy} to {wanted}, as the bucket's is"


@promise
def a_load_balancer_may_write_its_log_before_it_has_to(stack: Stack) -> Iterator[str]:
    policies = {policy.target(policy.properties["Bucket"]): policy.name
                for policy in stack.all("AWS::S3::BucketPolicy")}
    for name, nested in stack.nested.items():
        for balancer in nested.all("AWS::ElasticLoadBalancingV2::LoadBalancer"):
            attributes = {item["Key"]: item["Value"] for item in balancer.properties["LoadBalancerAttributes"]}
            bucket = balancer.target(attributes.get("access_logs.s3.bucket"))
            waits = stack.template["Resources"][name].get("Metadata", {}).get("After")
            if bucket and waits != {"Ref": policies.get(bucket)}:
                yield f"template.yaml: {name}: its load balancer could be made first: " \
                      f"let it wait for {policies.get(bucket)}"


@promise
def everything_says_what_encrypts_it(stack: Stack) -> Iterator[str]:
    """What is left out of a template when the key is switched on or off may stay as it was."""
    for queue in stack.all("AWS::SQS::Queue"):
        if queue.properties.get("SqsManagedSseEnabled") is not ("KmsMasterKeyId" not in queue.properties):
            yield f"{queue}: set SqsManagedSseEnabled, to true without a KmsMasterKeyId and to false with one"
    for secret in stack.all("AWS::SecretsManager::Secret"):
        if "KmsKeyId" not in secret.properties:
            yield f"{secret}: set KmsKeyId, to alias/aws/secretsmanager for AWS's own key"


def in_prod(stack: Stack) -> bool:
    return stack.parameters["Environment"] == "prod"


def is_on(resource: Resource, setting: str) -> bool:
    return str(resource.properties.get(setting)).lower() == "true"

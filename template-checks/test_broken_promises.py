"""Every promise can be broken: a change of what would be deployed, and what is then said about it."""

import copy
import dataclasses
import json
import unittest
from typing import Any

import access  # noqa: F401 – its promises
import data  # noqa: F401
import files  # noqa: F401
import messages
import monitoring  # noqa: F401
import network  # noqa: F401
import options
import reference  # noqa: F401
from expansion import Stack, expand
from promises import PROMISES
from variants import EVERYTHING_ON, variants

ABSENT = object()
RESOURCE = {"Type": "AWS::EC2::Volume"}
DENIED = {"Effect": "Deny", "Principal": "*", "Action": "sns:Publish", "Resource": "*"}


@dataclasses.dataclass
class Change:
    """Something else at a path below the resources of a stack, or of one nested in it (`NetworkStack/VPC`)."""

    resource: str
    path: tuple[str | int, ...]
    value: Any = ABSENT

    def apply(self, stack: Stack) -> None:
        *stacks, name = self.resource.split("/")
        for nested in stacks:
            stack = stack.nested[nested]
        value = stack.template["Resources"]
        *path, last = [name, *self.path]
        for step in path:
            value = value[step]
        if self.value is ABSENT:
            del value[last]
        else:
            value[last] = self.value


def properties(resource: str, *path: str | int, value: Any = ABSENT) -> Change:
    return Change(resource, ("Properties", *path), value)


def statement(resource: str, index: int, key: str, value: Any = ABSENT) -> Change:
    return properties(resource, "Policies", 0, "PolicyDocument", "Statement", index, key, value=value)


BROKEN: dict[str, list[tuple[Change, str]]] = {
    "nothing_is_allowed_on_everything": [
        (statement("UserServiceLambdaRole", 3, "Action", ["dynamodb:*"]), r"UserServiceLambdaRole.* dynamodb:\*"),
        (statement("UserServiceLambdaRole", 3, "Resource", "*"), r"UserServiceLambdaRole.* Resource \*"),
        (statement("UserServiceLambdaRole", 3, "NotAction", "iam:*"), "UserServiceLambdaRole.* by NotAction"),
        (statement("UserServiceLambdaRole", 1, "Action", ["xray:GetTraces"]), r"SendTraces has the Resource \*"),
        (properties("UserServiceLambdaRole", "ManagedPolicyArns", value=["arn:aws:iam::aws:policy/ReadOnlyAccess"]),
         "ReadOnlyAccess allows more than is needed"),
        (properties("UserEventsTopicPolicy", "PolicyDocument", "Statement", 0, "Effect", value="Allow"),
         r"UserEventsTopicPolicy.* Principal \*"),
        (properties("EncryptionKey", "KeyPolicy", "Statement", 2, "Principal", value={"AWS": "*"}),
         r"EncryptionKey: LetServicesWriteMessages has the Principal \*"),
        (properties("EncryptionKey", "KeyPolicy", "Statement", 1, "Condition", "StringEquals", "kms:CallerAccount"),
         r"EncryptionKey: LetTheAccountUseItsData has the Principal \*"),
        (properties("UserServiceHttpPermission", "SourceArn", value="arn:aws:execute-api:us-west-2:*:*/*"),
         "UserServiceHttpPermission: it has the SourceArn"),
        (properties("LoadBalancerStack/UserServicePermission", "SourceArn", value="arn:aws:elb:::targetgroup/*"),
         "UserServicePermission: it has the SourceArn"),
    ],
    "no_role_may_scan": [
        (statement("OrderServiceLambdaRole", 3, "Action", ["dynamodb:GetItem", "dynamodb:Scan"]),
         "OrderServiceLambdaRole.* may read a whole table"),
    ],
    "no_service_may_touch_the_table_of_another": [
        (statement("UserServiceLambdaRole", 3, "Resource", {"Fn::Sub": "${OrderTable.Arn}"}),
         "UserServiceLambdaRole: may touch OrderTable"),
        (properties("UserServiceLambdaRole", "Policies", value=[]), "may not touch UserTable, the table of"),
        (properties("UserServiceLambda", "Environment", "Variables", "TABLE_NAME", value="dev-users"),
         "UserServiceLambda: TABLE_NAME names no table"),
    ],
    "no_service_may_touch_the_bucket_of_another": [
        (statement("UserServiceLambdaRole", 9, "Resource", {"Fn::Sub": "${ProductImagesBucket.Arn}/avatars/*"}),
         "UserServiceLambdaRole: may touch ProductImagesBucket"),
        (properties("UserServiceLambdaRole", "Policies", value=[]), "may not touch UserAvatarsBucket, the bucket of"),
    ],
    "objects_are_never_public": [
        (properties("UserAvatarsBucketPolicy", "PolicyDocument", "Statement", 0, "Condition"),
         "UserAvatarsBucketPolicy: LetDistributionRead lets others read"),
        (properties("UserAvatarsBucketPolicy", "PolicyDocument", "Statement", 0, "Principal", value="*"),
         "UserAvatarsBucketPolicy: LetDistributionRead lets others read"),
    ],
    "a_bucket_may_tell_of_its_objects_before_it_has_to": [
        (Change("UserAvatarsBucket", ("DependsOn",)), "UserAvatarsBucket: .* let it wait for AvatarUploadsQueuePolicy"),
    ],
    "a_service_is_told_of_the_objects_that_it_may_touch": [
        (properties("ProductImagesBucket", "NotificationConfiguration", "QueueConfigurations", 0, "Filter"),
         "ProductImagesBucket: tells of everything, and who hears it may read images/"),
        (properties("ProductImagesBucket", "NotificationConfiguration", "QueueConfigurations", 0, "Queue",
                    value={"Fn::GetAtt": ["OrderProcessingQueue", "Arn"]}),
         "ProductImagesBucket: tells of images/, and who hears it may read nothing"),
    ],
    "the_distribution_may_decrypt_what_it_may_read": [
        (properties("EncryptionKey", "KeyPolicy", "Statement", 3, "Principal", "Service", value="s3.amazonaws.com"),
         "EncryptionKey: arn:aws:cloudfront::.* may read objects that it can't decrypt"),
    ],
    "every_queue_takes_from_those_who_send_to_it_alone": [
        (properties("AvatarUploadsQueuePolicy", "PolicyDocument", "Statement", 0, "Principal", "Service",
                    value="sns.amazonaws.com"),
         r"AvatarUploadsQueue: s3.amazonaws.com may not send to it for arn:.*:s3:::dev-user-avatars-"),
        (properties("AvatarUploadsQueuePolicy", "PolicyDocument", "Statement", 0, "Condition", "StringEquals"),
         "AvatarUploadsQueuePolicy: AcceptNotifications would take from a bucket of that name in any account"),
        (properties("AvatarUploadsQueuePolicy", "PolicyDocument", "Statement", 1, "Resource",
                    value=[{"Fn::GetAtt": ["AvatarUploadsQueue", "Arn"]}]),
         r"AvatarUploadsDLQ: sns.amazonaws.com may not send to it for \$\{UserEventsTopic\}"),
        (properties("StockRequestsQueuePolicy", "PolicyDocument", "Statement", 0, "Condition"),
         "StockRequestsQueue: sns.amazonaws.com may send to it for None, which does not"),
        (properties("ReportEventsQueuePolicy", "PolicyDocument", "Statement", 1, "Condition", "ArnEquals",
                    "aws:SourceArn", value={"Ref": "AlarmTopic"}),
         r"ReportEventsQueue: .* may not send to it for \$\{ProductEventsTopic\}(.|\n)*for \$\{AlarmTopic\}, which"),
        (Change("ReportEventsUserSubscription", ("Properties", "TopicArn"), {"Ref": "OrderEventsTopic"}),
         r"ReportEventsQueue: sns.amazonaws.com may send to it for \$\{UserEventsTopic\}, which does not"),
    ],
    "a_function_may_use_only_what_it_is_told_of": [
        (statement("ReportServiceLambdaRole", 4, "Action", ["dynamodb:GetItem"]),
         "ReportServiceLambdaRole: ConsumeQueues allows dynamodb:GetItem, and ReportServiceLambda is told of nothing"),
        (properties("UserServiceLambda", "Environment", "Variables", "BUCKET_NAME"),
         "UserServiceLambdaRole: UseObjects allows s3:DeleteObject, and UserServiceLambda is told of nothing"),
    ],
    "a_function_may_read_the_secrets_that_it_is_told_of": [
        (statement("ProductServiceLambdaRole", 3, "Resource", {"Ref": "APIKeySecret"}),
         r"ProductServiceLambdaRole: may not read \$\{CacheStack.Outputs.SecretArn\}, which is the CACHE_SECRET_ID"),
        (statement("ReportServiceLambdaRole", 2, "Resource", {"Ref": "APIKeySecret"}),
         r"ReportServiceLambdaRole: may not read \$\{APIGatewaySecret.Id\}, which is the SECRET_ID"),
    ],
    "only_its_rotation_writes_a_secret": [
        (statement("UserServiceLambdaRole", 2, "Action", ["secretsmanager:PutSecretValue"]),
         "UserServiceLambdaRole: ReadSecret may write a secret"),
        (statement("SecretRotationLambdaRole", 2, "Resource", [{"Ref": "APIGatewaySecret"}, {"Ref": "APIKeySecret"}]),
         "SecretRotationLambdaRole: RotateSecret reaches other secrets than APIGatewaySecret"),
        (statement("SecretRotationLambdaRole", 2, "Resource", ["arn:aws:secretsmanager:::secret:other"]),
         "SecretRotationLambdaRole: RotateSecret reaches other secrets than APIGatewaySecret"),
    ],
    "every_rotation_is_called_for_its_secret_alone": [
        (properties("SecretRotationPermission", "SourceArn", value={"Ref": "APIKeySecret"}),
         "APIGatewaySecretRotation: let it wait for a permission"),
        (properties("SecretRotationPermission", "SourceAccount"), "APIGatewaySecretRotation: let it wait for a"),
        (Change("APIGatewaySecretRotation", ("DependsOn",)), "APIGatewaySecretRotation: let it wait for a permission"),
        (properties("SecretRotationLambda", "Environment", "Variables", "SECRET_ID", value={"Ref": "APIKeySecret"}),
         "SecretRotationLambda: its SECRET_ID is not APIGatewaySecret"),
        (properties("APIGatewaySecretRotation", "RotateImmediatelyOnUpdate"),
         "APIGatewaySecretRotation: rotates at deployments"),
    ],
    "nothing_is_sent_or_read_without_tls": [
        (properties("UserEventsTopicPolicy", "PolicyDocument", "Statement", 0, value=DENIED),
         "UserEventsTopic: sns:Publish is not refused without TLS"),
        (properties("StreamDLQPolicy", "Queues", value=[]), "UserStreamDLQ: sqs:DeleteMessage, .* is not refused"),
        (properties("UserEventsQueuePolicy", "PolicyDocument", "Statement", 1, "Action", value=["sqs:SendMessage"]),
         "UserEventsQueue: sqs:DeleteMessage, sqs:ReceiveMessage is not refused"),
        (properties("UserAvatarsBucketPolicy", "PolicyDocument", "Statement", value=[]),
         r"UserAvatarsBucket: s3:\* is not refused"),
    ],
    "both_objects_and_bucket_need_tls": [
        (properties("UserAvatarsBucketPolicy", "PolicyDocument", "Statement", 1, "Resource",
                    value=[{"Fn::GetAtt": ["UserAvatarsBucket", "Arn"]}]),
         r"UserAvatarsBucketPolicy: without TLS \$\{UserAvatarsBucket.Arn\}/\* is not refused"),
    ],
    "no_secret_is_written_out": [
        (properties("UserServiceLambda", "Environment", "Variables", "API_KEY", value="abc"),
         "UserServiceLambda: API_KEY holds a secret in plain text"),
        (properties("UserServiceLambda", "Environment", "Variables", "KEY",
                    value={"Fn::Sub": "{{resolve:secretsmanager:${APIKeySecret}:SecretString}}"}),
         "UserServiceLambda: KEY would hold a secret that others can read"),
        (properties("CacheStack/RedisCluster", "AuthToken", value="abcdefghijklmnop"),
         "RedisCluster: AuthToken holds a secret in plain text"),
        (properties("ReportingDatabaseStack/DatabaseCluster", "MasterUserPassword", value="abc"),
         "DatabaseCluster: MasterUserPassword holds a secret in plain text"),
    ],
    "a_secret_with_known_content_has_no_password": [
        (properties("ReportingDatabaseStack/DatabaseSecret", "SecretString", value='{"password": "abc"}'),
         "DatabaseSecret: password stands in the template"),
    ],
    "every_queue_has_a_dead_letter_queue_or_is_one": [
        (properties("UserEventsQueue", "RedrivePolicy"), "UserEventsQueue: has no dead-letter queue"),
        (properties("UserEventsQueue", "RedrivePolicy", "deadLetterTargetArn", value="arn:aws:sqs:elsewhere"),
         "UserEventsQueue: its dead-letter queue is not in the template"),
        (properties("UserEventsQueue", "RedrivePolicy", "maxReceiveCount", value=10), "set maxReceiveCount to 3"),
        (properties("UserEventsQueue", "ReceiveMessageWaitTimeSeconds"), "set ReceiveMessageWaitTimeSeconds to 20"),
    ],
    "every_queue_keeps_messages_for_14_days": [
        (properties("UserEventsDLQ", "MessageRetentionPeriod"), "UserEventsDLQ: set MessageRetentionPeriod to 1209600"),
    ],
    "every_dead_letter_queue_says_who_may_use_it": [
        (properties("UserEventsDLQ", "RedriveAllowPolicy"), "UserEventsDLQ: .* byQueue for dev-user-events"),
        (properties("UserStreamDLQ", "RedriveAllowPolicy", value={"redrivePermission": "allowAll"}),
         "UserStreamDLQ: .* has to be denyAll"),
    ],
    "every_dead_letter_queue_has_an_alarm_on_its_depth": [
        (properties("UserStreamDLQ", "QueueName", value="dev-others"), "UserStreamDLQ: no alarm says when dev-others"),
        (properties("MonitoringStack/ordersstreamDeadLettersAlarm", "Threshold", value=5),
         "OrderStreamDLQ: no alarm says when dev-orders-stream-dlq"),
    ],
    "every_alarm_is_sent_to_somebody": [
        (properties("MonitoringStack/HighErrorRateAlarm", "AlarmActions"), "HighErrorRateAlarm: its AlarmActions"),
        (properties("MonitoringStack/HighErrorRateAlarm", "OKActions", value=[]), "HighErrorRateAlarm: its OKActions"),
        (properties("MonitoringStack/HighErrorRateAlarm", "AlarmDescription"), "HighErrorRateAlarm: say in"),
    ],
    "every_batch_can_fail_in_part": [
        (properties("UserEventsMapping", "FunctionResponseTypes"), "UserEventsMapping: one bad record fails"),
        (properties("UserTableStreamMapping", "FunctionResponseTypes", value=[]), "UserTableStreamMapping: one bad"),
    ],
    "every_stream_sets_aside_what_fails": [
        (properties("OrderTableStreamMapping", "DestinationConfig"), "OrderTableStreamMapping: set DestinationConfig"),
        (properties("OrderTableStreamMapping", "BisectBatchOnFunctionError"), "set BisectBatchOnFunctionError"),
    ],
    "everything_calls_an_alias": [
        (properties("UserEventsMapping", "FunctionName", value={"Ref": "OrderServiceLambda"}),
         "UserEventsMapping: calls a function past its alias"),
        (properties("UserServiceHttpPermission", "FunctionName", value="dev-user-service-lambda"),
         "UserServiceHttpPermission: calls a function past its alias"),
        (properties("HttpApi", "Body", "components", "x-amazon-apigateway-integrations", "user-service", "uri",
                    value={"Fn::Sub": "${UserServiceLambda.Arn}/invocations"}),
         "HttpApi: .*UserServiceLambda.Arn.* is not an alias"),
        (properties("LoadBalancerStack/UserServiceTargetGroup", "Targets", value=[{"Id": "arn:aws:lambda:function"}]),
         "UserServiceTargetGroup: its target is not an alias"),
    ],
    "every_permission_names_who_calls": [
        (properties("UserServiceHttpPermission", "SourceArn"), "UserServiceHttpPermission: .* set SourceArn"),
    ],
    "every_function_answers_before_its_caller_gives_up": [
        (properties("UserServiceLambda", "Timeout", value=30), "Lambda: may take 30 s, but HttpApi gives up"),
        (properties("UserServiceLambda", "Timeout", value=60), "60 s, but LoadBalancer gives up after 60 s"),
        (properties("HttpApi", "Body", "components", "x-amazon-apigateway-integrations", "user-service",
                    "timeoutInMillis", value=5000), "UserServiceLambda: may take 29 s, but HttpApi gives up after 5 s"),
    ],
    "a_message_stays_hidden_while_it_is_handled": [
        (properties("StockRequestsQueue", "VisibilityTimeout", value=173),
         "StockRequestsQueue: .* after 173 s: set VisibilityTimeout to 174 at least"),
        (properties("OrderDeadlinesMapping", "MaximumBatchingWindowInSeconds", value=300),
         "OrderDeadlinesQueue: .* set VisibilityTimeout to 474 at least"),
    ],
    "a_version_is_described_like_its_function": [
        (properties("UserServiceLambda", "Description"), "UserServiceLambda: Lambda publishes no version"),
    ],
    "every_queue_is_consumed": [
        (properties("UserEventsMapping", "EventSourceArn", value={"Fn::GetAtt": ["OrderProcessingQueue", "Arn"]}),
         "UserEventsQueue: nobody reads it"),
    ],
    "every_table_is_encrypted_and_can_be_restored": [
        (properties("UserTable", "SSESpecification"), "UserTable: set SSESpecification.SSEEnabled"),
        (properties("UserTable", "PointInTimeRecoverySpecification", "PointInTimeRecoveryEnabled", value=False),
         "UserTable: set PointInTimeRecoverySpecification"),
    ],
    "every_table_streams_both_images": [
        (properties("UserTable", "StreamSpecification", "StreamViewType", value="NEW_IMAGE"),
         "UserTable: events are made of both images"),
    ],
    "every_bucket_is_private_versioned_and_encrypted": [
        (properties("UserAvatarsBucket", "PublicAccessBlockConfiguration", "BlockPublicPolicy", value=False),
         "UserAvatarsBucket: set PublicAccessBlockConfiguration.BlockPublicPolicy"),
        (properties("UserAvatarsBucket", "VersioningConfiguration"), "UserAvatarsBucket: set VersioningConfiguration"),
        (properties("UserAvatarsBucket", "BucketEncryption"), "UserAvatarsBucket: set BucketEncryption"),
    ],
    "with_a_key_of_its_own_the_stack_encrypts_everything_with_it": [
        (properties("UserTable", "SSESpecification", "KMSMasterKeyId"), "UserTable: is not encrypted with the stack's"),
        (properties("UserEventsTopic", "KmsMasterKeyId", value="alias/aws/sns"), "UserEventsTopic: is not encrypted"),
        (properties("UserServiceLogGroup", "KmsKeyId"), "UserServiceLogGroup: is not encrypted .* set KmsKeyId"),
        (properties("CacheStack/RedisCluster", "KmsKeyId"), "RedisCluster: is not encrypted"),
    ],
    "every_log_group_forgets_after_30_days": [
        (properties("UserServiceLogGroup", "RetentionInDays"), "UserServiceLogGroup: set RetentionInDays to 30"),
    ],
    "whatever_logs_has_a_log_group_of_the_stack": [
        (properties("UserServiceLambda", "LoggingConfig", "LogGroup"), "UserServiceLambda: LoggingConfig.LogGroup"),
        (properties("ReportingDatabaseStack/DatabaseLogGroup", "LogGroupName", value="elsewhere"),
         "DatabaseCluster: there is no log group /aws/rds/cluster/dev-microservices-cluster/postgresql"),
        (properties("ReportingDatabaseStack/DatabaseProxyLogGroup", "LogGroupName", value="elsewhere"),
         "DatabaseProxy: there is no log group /aws/rds/proxy/dev-microservices-proxy"),
    ],
    "the_key_outlives_what_is_encrypted_with_it": [
        (Change("EncryptionKey", ("DeletionPolicy",), "Delete"), "EncryptionKey: .* set its DeletionPolicy to Retain"),
        (Change("EncryptionKey", ("UpdateReplacePolicy",)), "EncryptionKey: .* set its UpdateReplacePolicy to Retain"),
    ],
    "a_bucket_keeps_its_policy": [
        (Change("UserAvatarsBucketPolicy", ("DeletionPolicy",), "Retain"),
         "UserAvatarsBucketPolicy: .* set its DeletionPolicy to Delete"),
        (Change("UserAvatarsBucket", ("UpdateReplacePolicy",), "Retain"),
         "UserAvatarsBucketPolicy: .* set its UpdateReplacePolicy to Retain"),
    ],
    "a_load_balancer_may_write_its_log_before_it_has_to": [
        (Change("LoadBalancerStack", ("Metadata",)), "LoadBalancerStack: .* let it wait for AccessLogsBucketPolicy"),
    ],
    "everything_says_what_encrypts_it": [
        (properties("UserEventsQueue", "SqsManagedSseEnabled"), "UserEventsQueue: set SqsManagedSseEnabled"),
        (properties("UserEventsQueue", "SqsManagedSseEnabled", value=True), "UserEventsQueue: set SqsManagedSseEnabled"),
        (properties("CacheStack/RedisSecret", "KmsKeyId"), "RedisSecret: set KmsKeyId"),
    ],
    "nothing_holds_up_the_deletion_of_a_stack_for_trials": [
        (Change("UserTable", ("DeletionPolicy",), "Retain"), "UserTable: would stay behind"),
        (properties("UserTable", "DeletionProtectionEnabled", value=True), "UserTable: can't be deleted"),
    ],
    "every_dashboard_is_complete": [
        (properties("MonitoringStack/Dashboard", "DashboardBody", value='{"widgets": [}'), "its body is no JSON"),
        (properties("MonitoringStack/Dashboard", "DashboardBody", value=json.dumps(
            {"widgets": [{"type": "metric", "width": 25, "properties": {"title": "Errors", "metrics": []}}]})),
         "Errors needs a title, a region and metrics\n.*Errors does not fit into its row.*\n.*last row is not full"),
    ],
    "the_dashboard_shows_the_alarms_that_there_are": [
        (properties("MonitoringStack/HighErrorRateAlarm", "AlarmName", value="dev-other"),
         "HighErrorRateAlarm: is not on the dashboard(.|\n)*shows the alarm dev-high-error-rate, which there is not"),
    ],
    "names_and_figures_of_the_reference_hold": [
        (properties("UserTable", "TableName", value="users"), "UserTable: TableName is users, and dev-users in"),
        (properties("ProvisionedConcurrencyStack/UserServiceAutoScalingTarget", "MaxCapacity", value=20),
         "UserServiceAutoScalingTarget: MaxCapacity is 20, and 10 in the reference"),
    ],
    "only_the_load_balancer_is_open_to_everybody": [
        (properties("NetworkStack/EndpointSecurityGroup", "SecurityGroupIngress", 0, "CidrIp", value="0.0.0.0/0"),
         "EndpointSecurityGroup: lets everybody in at 443"),
        (properties("LoadBalancerStack/LoadBalancerSecurityGroup", "SecurityGroupIngress", 0, "FromPort", value=22),
         "LoadBalancerSecurityGroup: lets everybody in at 22 to 80"),
    ],
    "no_security_group_lets_everything_out": [
        (properties("NetworkStack/EndpointSecurityGroup", "SecurityGroupEgress"), "EndpointSecurityGroup: without"),
        (properties("NetworkStack/EndpointSecurityGroup", "SecurityGroupEgress", 0, "CidrIp", value="0.0.0.0/0"),
         "EndpointSecurityGroup: lets everything out"),
    ],
    "security_groups_do_not_refer_to_each_other_in_a_circle": [
        (properties("NetworkStack/FunctionSecurityGroup", "SecurityGroupEgress", 0,
                    value={"IpProtocol": "tcp", "DestinationSecurityGroupId": {"Ref": "EndpointSecurityGroup"}}),
         "FunctionSecurityGroup: refers to itself through other groups"),
    ],
    "a_function_that_is_told_of_a_cache_or_a_database_reaches_it": [
        (properties("ReportServiceLambda", "VpcConfig"), "ReportServiceLambda: has DATABASE_SECRET_ID, and is not in"),
        (properties("OrderServiceLambda", "Environment", "Variables", "CACHE_URL", value="rediss://a"),
         "OrderServiceLambda: has CACHE_URL, and is not in the VPC"),
    ],
    "caches_and_databases_demand_tls": [
        (properties("CacheStack/RedisCluster", "TransitEncryptionMode", value="preferred"),
         "RedisCluster: set TransitEncryptionMode"),
        (properties("ReportingDatabaseStack/DatabaseParameterGroup", "Parameters", value={}),
         "DatabaseCluster: let its parameter group set rds.force_ssl"),
        (properties("ReportingDatabaseStack/DatabaseProxy", "RequireTLS", value=False),
         "DatabaseProxy: set RequireTLS"),
    ],
    "endpoints_let_through_what_functions_may_do": [
        (properties("NetworkStack/SQSEndpoint", "PolicyDocument", "Statement", 0, "Action", value="sqs:SendMessage"),
         "ReportServiceLambdaRole: may do sqs:ChangeMessageVisibility, and the endpoint of sqs lets nobody"),
    ],
    "every_subnet_is_routed_and_gives_no_public_addresses": [
        (properties("NetworkStack/PublicSubnet1", "MapPublicIpOnLaunch", value=True), "PublicSubnet1: gives whatever"),
    ],
}

# What takes more than one change, or something else than everything switched on.
OUTSIDE_OF_THE_TABLE = {
    "a_function_is_in_the_vpc_only_for_something_in_it",
    "data_outlives_the_stack_in_prod",
    "no_output_tells_a_secret",
    "the_essential_dashboard_is_free",
}


class BrokenPromises(unittest.TestCase):
    everything: Stack

    @classmethod
    def setUpClass(cls):
        cls.everything = expand(variants()[EVERYTHING_ON[0]])

    def refuse(self, promise: str, stack: Stack, expected: str) -> None:
        self.assertRegex("\n".join(PROMISES[promise](stack)), expected)

    def test_every_promise_can_be_broken(self):
        self.assertEqual(PROMISES.keys(), BROKEN.keys() | OUTSIDE_OF_THE_TABLE, "add a change that breaks the promise")
        for promise, changes in BROKEN.items():
            for change, expected in changes:
                with self.subTest(promise, change=change):
                    self.assertNotRegex("\n".join(PROMISES[promise](self.everything)), expected)
                    changed = copy.deepcopy(self.everything)
                    change.apply(changed)
                    self.refuse(promise, changed, expected)

    def test_a_function_in_the_vpc_for_nothing(self):
        stack = copy.deepcopy(self.everything)
        del stack.nested["CacheStack"], stack.nested["ReportingDatabaseStack"]
        self.refuse("a_function_is_in_the_vpc_only_for_something_in_it", stack, "ProductServiceLambda: its way out")

    def test_data_that_is_lost_in_prod(self):
        stack = copy.deepcopy(self.everything)
        stack.parameters["Environment"] = "prod"
        for expected in ["UserTable: would be lost: set its DeletionPolicy to Retain",
                         "UserAvatarsBucket: would be lost: set its UpdateReplacePolicy to Retain",
                         "UserTable: set DeletionProtectionEnabled",
                         "DatabaseCluster: set DeletionProtection"]:
            self.refuse("data_outlives_the_stack_in_prod", stack, expected)

    def test_an_output_that_tells_a_secret(self):
        stack = copy.deepcopy(self.everything)
        stack.template["Outputs"]["Key"] = {"Value": {"Fn::Sub": "{{resolve:secretsmanager:${APIKeySecret}}}"}}
        self.refuse("no_output_tells_a_secret", stack, "the output Key tells a secret")

    def test_a_changed_function_without_a_version(self):
        stack = copy.deepcopy(self.everything)
        properties("UserServiceLambda", "TracingConfig", "Mode", value="PassThrough").apply(stack)
        self.assertRegex("\n".join(messages.changes_without_a_version(self.everything, stack)),
                         "UserServiceLambda: its TracingConfig changes without a new version")

    def test_a_version_of_an_equal_function(self):
        stack = copy.deepcopy(self.everything)
        version = stack.all("AWS::Lambda::Version")[0]
        function = version.target(version.properties["FunctionName"])
        for resource in [function, version]:
            resource.properties["Description"] = "other"
        self.assertEqual([], list(messages.changes_without_a_version(self.everything, stack)))
        self.assertRegex("\n".join(messages.versions_without_a_change(self.everything, stack)),
                         f"{function.name}: gets a new version though nothing changes")

    def test_a_target_group_of_another_function(self):
        stack = copy.deepcopy(self.everything)
        group = "LoadBalancerStack/UserServiceTargetGroup"
        properties(group, "Targets", value=[{"Id": {"Ref": "OrderServiceArn"}}]).apply(stack)
        self.assertRegex("\n".join(messages.targets_that_change_in_place(self.everything, stack)),
                         "UserServiceTargetGroup: can't change its function")
        properties(group, "Name", value="dev-user-service-tg-m").apply(stack)
        self.assertEqual([], list(messages.targets_that_change_in_place(self.everything, stack)))

    def test_an_essential_dashboard_that_is_not_free(self):
        stack = expand({})
        body = {"widgets": [{"type": "metric", "width": 24, "properties": {"metrics": [["Shop"]] * 51}}]}
        properties("MonitoringStack/Dashboard", "DashboardBody", value=json.dumps(body)).apply(stack)
        self.refuse("the_essential_dashboard_is_free", stack, "Dashboard: 51 metrics, and 50 are free")

    def test_something_optional_remains(self):
        stack = expand({})
        self.assertEqual([], options.remains_when_all_is_off(stack))
        stack.template["Resources"]["Disk"] = RESOURCE
        stack.nested["CacheStack"] = self.everything.nested["CacheStack"]
        alarms = stack.nested["MonitoringStack"].template["Resources"]
        alarms["Thirteenth"] = alarms["HighErrorRateAlarm"]
        found = "\n".join(options.remains_when_all_is_off(stack))
        for expected in ["template.yaml: Disk: AWS::EC2::Volume is optional", "CacheStack is there though",
                         "13 of AWS::CloudWatch::Alarm are there by default, and there should be 12 at most"]:
            self.assertRegex(found, expected)

    def test_a_switch_that_adds_nothing(self):
        stack = copy.deepcopy(self.everything)
        del stack.nested["CacheStack"]
        names = ["RedisCluster", "UserService*Lambda"]
        self.assertEqual(["template.yaml: Cache adds no RedisCluster",
                          "template.yaml: UserServiceLambda is there without Cache"],
                         options.is_not_added("Cache", names, stack, stack))

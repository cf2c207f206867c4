"""Names, figures and thresholds of the reference infrastructure document. What differs from it on purpose is in
docs/INFRASTRUCTURE.md.
"""

from collections.abc import Iterator

from expansion import Stack, text
from promises import at, promise

TARGET_GROUP = {"HealthCheckPath": "/health/ready", "HealthCheckIntervalSeconds": 30, "HealthCheckTimeoutSeconds": 5,
                "HealthyThresholdCount": 2, "UnhealthyThresholdCount": 3}
ALARM = {"Period": 300, "EvaluationPeriods": 2, "ComparisonOperator": "GreaterThanThreshold"}

# Properties by their paths. `<env>` is the environment; `<form>` is nothing for the functions that the reference has, and
# tells their other form apart.
REFERENCE: dict[str, dict[str, object]] = {
    "VPC": {"CidrBlock": "10.0.0.0/16", "EnableDnsHostnames": True, "EnableDnsSupport": True},
    "PublicSubnet1": {"CidrBlock": "10.0.1.0/24"},
    "PublicSubnet2": {"CidrBlock": "10.0.2.0/24"},
    "PrivateSubnet1": {"CidrBlock": "10.0.10.0/24"},
    "PrivateSubnet2": {"CidrBlock": "10.0.11.0/24"},
    "LoadBalancer": {"Name": "<env>-microservices-alb", "Scheme": "internet-facing"},
    "LoadBalancerSecurityGroup": {"GroupName": "<env>-alb-sg"},
    "UserServiceTargetGroup": TARGET_GROUP | {"Name": "<env>-user-service-tg<form>"},
    "ProductServiceTargetGroup": TARGET_GROUP | {"Name": "<env>-product-service-tg<form>"},
    "UserServiceAutoScalingTarget": {"MinCapacity": 2, "MaxCapacity": 10},
    "UserServiceScalingPolicy": {"PolicyName": "<env>-user-service-scaling-policy",
                                 "TargetTrackingScalingPolicyConfiguration.TargetValue": 0.7},
    "CapacityProvider": {"CapacityProviderScalingConfig.ScalingPolicies.0.TargetValue": 70},
    "UserServiceLambda": {"FunctionName": "<env>-user-service-lambda", "MemorySize": 512},
    "UserTable": {"TableName": "<env>-users", "BillingMode": "PAY_PER_REQUEST"},
    "ProductTable": {"TableName": "<env>-products", "BillingMode": "PAY_PER_REQUEST"},
    "UserAvatarsBucket": {"BucketName": "<env>-user-avatars-${AWS::AccountId}"},
    "ProductImagesBucket": {"BucketName": "<env>-product-images-${AWS::AccountId}"},
    "UserEventsQueue": {"QueueName": "<env>-user-events", "VisibilityTimeout": 300},
    "UserEventsDLQ": {"QueueName": "<env>-user-events-dlq"},
    "OrderProcessingQueue": {"QueueName": "<env>-order-processing", "VisibilityTimeout": 600},
    "OrderProcessingDLQ": {"QueueName": "<env>-order-processing-dlq"},
    "UserEventsTopic": {"TopicName": "<env>-user-events"},
    "OrderEventsTopic": {"TopicName": "<env>-order-events"},
    "UserEventsSubscription": {"FilterPolicy.event_type": ["user_created", "user_updated", "user_deleted"]},
    "APIGatewaySecret": {"Name": "<env>/microservices/api-gateway", "GenerateSecretString.PasswordLength": 64},
    "RedisSecret": {"Name": "<env>/microservices/redis", "GenerateSecretString.PasswordLength": 32},
    "DatabaseSecret": {"Name": "<env>/microservices/database"},
    "RedisSecurityGroup": {"GroupName": "<env>-redis-sg", "SecurityGroupIngress.0.FromPort": 6379},
    "RedisCluster": {"ReplicationGroupId": "<env>-microservices-redis", "Port": 6379, "NumCacheClusters": 2,
                     "AtRestEncryptionEnabled": True, "TransitEncryptionEnabled": True, "SnapshotRetentionLimit": 7,
                     "SnapshotWindow": "03:00-05:00", "PreferredMaintenanceWindow": "sun:05:00-sun:07:00"},
    "DatabaseSecurityGroup": {"GroupName": "<env>-db-sg", "SecurityGroupIngress.0.FromPort": 5432},
    "DatabaseSubnetGroup": {"DBSubnetGroupName": "<env>-microservices-db-subnet-group"},
    "DatabaseCluster": {"DBClusterIdentifier": "<env>-microservices-cluster", "Engine": "aurora-postgresql",
                        "DatabaseName": "microservices", "MasterUsername": "microservices_user",
                        "BackupRetentionPeriod": 7, "PreferredBackupWindow": "03:00-04:00",
                        "PreferredMaintenanceWindow": "sun:04:00-sun:05:00", "StorageEncrypted": True},
    "HighCPUAlarm": {"AlarmName": "<env>-high-cpu-alarm", "Threshold": 80, "EvaluationPeriods": 2,
                     "ComparisonOperator": "GreaterThanThreshold"},
    "HighErrorRateAlarm": ALARM | {"AlarmName": "<env>-high-error-rate", "Statistic": "Sum", "Threshold": 10},
    # The API measures in milliseconds, the load balancer in seconds.
    "HighResponseTimeAlarm": ALARM | {"AlarmName": "<env>-high-response-time", "Statistic": "Average",
                                      "Threshold": 2000},
    "LoadBalancerErrorRateAlarm": {"Threshold": 10, "EvaluationPeriods": 2},
    "LoadBalancerResponseTimeAlarm": ALARM | {"Statistic": "Average", "Threshold": 2},
}


@promise
def names_and_figures_of_the_reference_hold(stack: Stack) -> Iterator[str]:
    environment = stack.parameters["Environment"]
    form = "-m" if stack.parameters["Compute"] == "managed-instances" else ""
    for resource in stack.all():
        for path, value in REFERENCE.get(resource.name, {}).items():
            steps = [int(step) if step.isdigit() else step for step in path.split(".")]
            wanted = text(value).replace("<env>", environment).replace("<form>", form)
            if (found := text(at(resource.properties, *steps))) != wanted:
                yield f"{resource}: {path} is {found}, and {wanted} in the reference"


def absent(stack: Stack) -> list[str]:
    """What the reference has, and nothing here is called."""
    return sorted(REFERENCE.keys() - {resource.name for resource in stack.all()})

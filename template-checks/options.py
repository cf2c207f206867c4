"""What is there by default, and what the switches add."""

import fnmatch

from expansion import Stack

BY_DEFAULT = {
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::Stage",
    "AWS::CloudFormation::Stack",
    "AWS::CloudWatch::Alarm",
    "AWS::CloudWatch::Dashboard",
    "AWS::DynamoDB::Table",
    "AWS::IAM::Role",
    "AWS::Lambda::Alias",
    "AWS::Lambda::EventSourceMapping",
    "AWS::Lambda::Function",
    "AWS::Lambda::Permission",
    "AWS::Lambda::Version",
    "AWS::Logs::LogGroup",
    "AWS::S3::Bucket",
    "AWS::S3::BucketPolicy",
    "AWS::SNS::Subscription",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::Queue",
    "AWS::SQS::QueuePolicy",
    "AWS::SecretsManager::RotationSchedule",
    "AWS::SecretsManager::Secret",
}
STACKS_BY_DEFAULT = {"stacks/monitoring.yaml"}

# What CloudWatch is paid for by default: alarms two more than are free, dashboards none.
ALARMS = 12
FREE_DASHBOARDS = 3

SERVICES = ["UserService", "ProductService", "OrderService"]

# What each parameter adds, by its names in the templates, in which `*` stands for anything.
ADDED = {
    "Network": [
        "VPC", "InternetGateway", "InternetGatewayAttachment", "NatGateway1", "NatGateway1EIP", "PublicRoute",
        "PublicSubnet1", "PublicSubnet2", "PrivateSubnet1", "PrivateSubnet2", "PrivateRoute1", "PrivateRoute2",
        "DynamoDBEndpoint", "S3Endpoint", "FunctionSecurityGroup"],
    "Zones": ["PublicSubnet3", "PrivateSubnet3", "PublicSubnet3RouteTableAssociation", "PrivateRoute3"],
    "NatGateways": ["NatGateway2", "NatGateway2EIP", "NatGateway3", "NatGateway3EIP"],
    "InterfaceEndpoints": ["SecretsManagerEndpoint", "SNSEndpoint", "SQSEndpoint", "EndpointSecurityGroup"],
    "FlowLogs": ["FlowLog", "FlowLogGroup", "FlowLogRole"],
    "LoadBalancer": [
        "LoadBalancer", "LoadBalancerSecurityGroup", "HttpListener", "WebAcl", "WebAclAssociation", "WebAclLogging",
        *(f"{service}{part}" for service in [*SERVICES, "ReportService"]
          for part in ["Permission", "Rule", "TargetGroup"])],
    "CertificateArn": ["HttpsListener"],
    "Compute=provisioned": [
        f"{service}{part}" for service in SERVICES for part in ["AutoScalingTarget", "ScalingPolicy"]],
    "Compute=managed-instances": [
        "CapacityProvider", "CapacityProviderLogGroup", "OperatorRole",
        *(f"{service}ManagedLambda" for service in [*SERVICES, "ReportService"])],
    "SafeDeployments": [
        "ServerlessDeploymentApplication", "DeploymentRole",
        *(f"{service}*LambdaDeploymentGroup" for service in [*SERVICES, "ReportService"])],
    "Cache": ["RedisCluster", "ElastiCacheSubnetGroup", "RedisSecret", "RedisSecurityGroup", "FunctionToRedisEgress"],
    "Reporting": [
        "DatabaseCluster", "DatabaseInstance1", "DatabaseLogGroup", "DatabaseSecret", "DatabaseSecurityGroup",
        "DatabaseSubnetGroup", "FunctionToDatabaseEgress", "Report*", "ReportService*Lambda", "ReportServiceLambdaRole",
        "ReportServiceHttpPermission", "ReportServiceLogGroup", "ReportServiceErrorsAlarm", "ReportServiceRule",
        "ReportEventsQueue", "ReportEventsDLQ", "ReportEventsQueuePolicy", "ReportEventsMapping",
        "ReportEvents*Subscription", "ReportEventsDeadLettersAlarm"],
    "ReportingProxy": [
        "DatabaseProxy", "DatabaseProxyLogGroup", "DatabaseProxyRole", "DatabaseProxySecurityGroup",
        "DatabaseProxyTargets", "FunctionToProxyEgress", "ProxyToDatabaseIngress"],
    "CustomerManagedKey": ["EncryptionKey", "EncryptionKeyAlias"],
    "AccessLogs": ["AccessLogsBucket", "AccessLogsBucketPolicy"],
    "Monitoring": [
        "HighCPUAlarm", "LoadBalancerErrorRateAlarm", "LoadBalancerResponseTimeAlarm", "CacheHighCPU001Alarm",
        "CacheMemory002Alarm", "DatabaseCapacityAlarm", "DatabaseHighCPUAlarm",
        "LoginThrottledAlarm", "RefreshTokenReusedAlarm", "SecretRotationErrorsAlarm",
        "ReportEventsOldestMessageAlarm", "ReportServiceThrottlesAlarm",
        *(f"{service}{alarm}Alarm" for service in SERVICES for alarm in ["StreamAge", "Throttles"])],
    "AlarmEmail": ["AlarmEmailSubscription"],
    "MonthlyBudget": ["MonthlyCostBudget"],
    "DomainName": ["ApiDomain", "ApiDomainMapping"],
    "HostedZoneId": ["ApiDomainRecord"],
}

# What there is unless a parameter has this value.
REMOVED = {
    "SecretRotationDays=0": ["APIGatewaySecretRotation", "SecretRotation*"],
}

# What the template's rules refuse without a parameter.
NEEDING = {
    "Network": {"Cache", "LoadBalancer", "Reporting", "ReportingProxy"},
    "Reporting": {"ReportingProxy"},
    "CertificateArn": {"DomainName", "HostedZoneId"},
    "DomainName": {"HostedZoneId"},
}


def remains_when_all_is_off(stack: Stack) -> list[str]:
    """What is there by default and should not be."""
    found = [f"{resource}: {resource.type} is optional: give it the condition of its switch"
             for resource in stack.all() if resource.type not in BY_DEFAULT]
    found += [f"template.yaml: {name} is there though nothing optional is on: give it a condition"
              for name, nested in stack.nested.items() if nested.source not in STACKS_BY_DEFAULT]
    for kind, most in {"AWS::CloudWatch::Alarm": ALARMS, "AWS::CloudWatch::Dashboard": FREE_DASHBOARDS}.items():
        if (count := len(stack.all(kind))) > most:
            found.append(f"template.yaml: {count} of {kind} are there by default, and there should be {most} at most")
    return found


def added(parameters: dict[str, str]) -> dict[str, list[str]]:
    """What should be there with these parameters because of one of them, by its name."""
    given = parameters.keys() | {f"{name}={value}" for name, value in parameters.items()}
    return {name.partition("=")[0]: names for name, names in ADDED.items() if name in given}


def without(parameter: str, parameters: dict[str, str]) -> dict[str, str]:
    """The parameters but for one, and for those that need it."""
    left_out = {parameter} | NEEDING.get(parameter, set())
    if parameter == "Network" and parameters["Compute"] == "managed-instances":
        left_out.add("Compute")
    return {name: value for name, value in parameters.items() if name not in left_out}


def is_not_added(parameter: str, names: list[str], on: Stack, off: Stack) -> list[str]:
    """What a parameter should add, and is missing with it or there without it."""
    with_it, without_it = ([resource.name for resource in stack.all()] for stack in [on, off])
    return [f"template.yaml: {parameter} adds no {name}" for name in names if not fnmatch.filter(with_it, name)] \
        + [f"template.yaml: {found} is there without {parameter}"
           for name in names for found in fnmatch.filter(without_it, name)]

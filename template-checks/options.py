"""What is there by default, and what the switches add."""

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
    "AWS::SecretsManager::Secret",
}
STACKS_BY_DEFAULT = {"stacks/monitoring.yaml"}

# CloudWatch charges for alarms beyond these.
FREE_ALARMS = 10
FREE_DASHBOARDS = 3

# What each switch adds: the types that are there with it and not without it.
ADDED = {
    "Network": {"AWS::EC2::VPC", "AWS::EC2::Subnet", "AWS::EC2::InternetGateway", "AWS::EC2::NatGateway",
                "AWS::EC2::EIP", "AWS::EC2::RouteTable", "AWS::EC2::VPCEndpoint", "AWS::EC2::SecurityGroup"},
    "FlowLogs": {"AWS::EC2::FlowLog"},
    "LoadBalancer": {"AWS::ElasticLoadBalancingV2::LoadBalancer", "AWS::ElasticLoadBalancingV2::Listener",
                     "AWS::ElasticLoadBalancingV2::ListenerRule", "AWS::ElasticLoadBalancingV2::TargetGroup",
                     "AWS::WAFv2::WebACL", "AWS::WAFv2::WebACLAssociation"},
    "Compute=provisioned": {"AWS::ApplicationAutoScaling::ScalableTarget",
                            "AWS::ApplicationAutoScaling::ScalingPolicy"},
    "Compute=managed-instances": {"AWS::Lambda::CapacityProvider"},
    "SafeDeployments": {"AWS::CodeDeploy::Application", "AWS::CodeDeploy::DeploymentGroup"},
    "Cache": {"AWS::ElastiCache::ReplicationGroup", "AWS::ElastiCache::SubnetGroup"},
    "Reporting": {"AWS::RDS::DBCluster", "AWS::RDS::DBInstance", "AWS::RDS::DBSubnetGroup"},
    "CustomerManagedKey": {"AWS::KMS::Key", "AWS::KMS::Alias"},
    "MonthlyBudget": {"AWS::Budgets::Budget"},
    "DomainName": {"AWS::ApiGatewayV2::DomainName", "AWS::ApiGatewayV2::ApiMapping"},
    "HostedZoneId": {"AWS::Route53::RecordSet"},
}


def types(stack: Stack) -> set[str]:
    return {resource.type for resource in stack.all()}


def remains_when_all_is_off(stack: Stack) -> list[str]:
    """What is there by default and should not be."""
    found = [f"{resource}: {resource.type} is optional: give it the condition of its switch"
             for resource in stack.all() if resource.type not in BY_DEFAULT]
    found += [f"template.yaml: {name} is there though nothing optional is on: give it a condition"
              for name, nested in stack.nested.items() if nested.source not in STACKS_BY_DEFAULT]
    for kind, free in {"AWS::CloudWatch::Alarm": FREE_ALARMS, "AWS::CloudWatch::Dashboard": FREE_DASHBOARDS}.items():
        if (count := len(stack.all(kind))) > free:
            found.append(f"template.yaml: {count} of {kind} are there by default, and {free} are free")
    return found


def is_missing_when_all_is_on(stack: Stack) -> list[str]:
    """What a switch should have added."""
    others = {f"Compute={value}" for value in ["provisioned", "managed-instances"]
              if value != stack.parameters["Compute"]}
    found = types(stack)
    return [f"template.yaml: {switch} adds no {kind}" for switch, kinds in ADDED.items() if switch not in others
            for kind in sorted(kinds - found)]

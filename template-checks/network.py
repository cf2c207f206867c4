"""The VPC, and who reaches whom in it."""

from collections.abc import Iterator

from expansion import Resource, Stack, as_list, text, texts
from promises import at, promise, statements

EVERYWHERE = {"0.0.0.0/0", "::/0"}
OPEN_PORTS = {(80, 80), (443, 443)}


def rules(stack: Stack, direction: str) -> Iterator[tuple[Resource, dict, Resource]]:
    """The rules of one direction: the group, the rule, and the resource that states it."""
    for group in stack.all("AWS::EC2::SecurityGroup"):
        for rule in as_list(group.properties.get(f"SecurityGroup{direction}")):
            yield group, rule, group
    for resource in stack.all(f"AWS::EC2::SecurityGroup{direction}"):
        yield resource.target(resource.properties["GroupId"]), resource.properties, resource


@promise
def only_the_load_balancer_is_open_to_everybody(stack: Stack) -> Iterator[str]:
    public = {balancer.target(group) for balancer in stack.all("AWS::ElasticLoadBalancingV2::LoadBalancer")
              for group in balancer.properties["SecurityGroups"]}
    for group, rule, stated in rules(stack, "Ingress"):
        if not EVERYWHERE & {rule.get("CidrIp"), rule.get("CidrIpv6")}:
            continue
        ports = rule.get("FromPort"), rule.get("ToPort")
        if group not in public or ports not in OPEN_PORTS:
            yield f"{stated}: lets everybody in at {ports[0]} to {ports[1]}: name a security group"


@promise
def no_security_group_lets_everything_out(stack: Stack) -> Iterator[str]:
    for group in stack.all("AWS::EC2::SecurityGroup"):
        if not group.properties.get("SecurityGroupEgress"):
            yield f"{group}: without a rule in SecurityGroupEgress AWS lets everything out: add what is needed, or a " \
                  "rule that leads nowhere"
    for _, rule, stated in rules(stack, "Egress"):
        if EVERYWHERE & {rule.get("CidrIp"), rule.get("CidrIpv6")} and str(rule["IpProtocol"]) == "-1":
            yield f"{stated}: lets everything out: name protocol and port"


@promise
def security_groups_do_not_refer_to_each_other_in_a_circle(stack: Stack) -> Iterator[str]:
    edges: dict[Resource, set[Resource]] = {}
    for direction, other in {"Ingress": "SourceSecurityGroupId", "Egress": "DestinationSecurityGroupId"}.items():
        for group, rule, stated in rules(stack, direction):
            # A rule that is a resource of its own makes neither group wait for the other.
            if stated == group and (target := group.target(rule.get(other))):
                edges.setdefault(group, set()).add(target)

    def reaches(start: Resource, goal: Resource, seen: set[Resource]) -> bool:
        following = edges.get(start, set()) - seen
        return goal in following or any(reaches(group, goal, seen | following) for group in following)

    for group in edges:
        if reaches(group, group, set()):
            yield f"{group}: refers to itself through other groups: make one of the rules a resource of its own"


@promise
def a_function_is_in_the_vpc_only_for_something_in_it(stack: Stack) -> Iterator[str]:
    used = stack.all("AWS::ElastiCache::ReplicationGroup", "AWS::RDS::DBCluster")
    for function in stack.all("AWS::Lambda::Function"):
        if at(function.properties, "VpcConfig", "SubnetIds") and not used:
            yield f"{function}: its way out through the VPC costs time and money for nothing: leave out VpcConfig"


@promise
def a_function_that_is_told_of_a_cache_or_a_database_reaches_it(stack: Stack) -> Iterator[str]:
    for function in stack.all("AWS::Lambda::Function"):
        told = {"CACHE_URL", "DATABASE_SECRET_ID"} & (at(function.properties, "Environment", "Variables") or {}).keys()
        inside = at(function.properties, "VpcConfig", "SubnetIds") or function.properties.get("CapacityProviderConfig")
        if told and not inside:
            yield f"{function}: has {', '.join(sorted(told))}, and is not in the VPC: give it a VpcConfig"


@promise
def caches_and_databases_demand_tls(stack: Stack) -> Iterator[str]:
    for cache in stack.all("AWS::ElastiCache::ReplicationGroup"):
        if cache.properties.get("TransitEncryptionMode") != "required":
            yield f"{cache}: set TransitEncryptionMode to required"
    for cluster in stack.all("AWS::RDS::DBCluster"):
        group = cluster.target(cluster.properties.get("DBClusterParameterGroupName"))
        if group is None or at(group.properties, "Parameters", "rds.force_ssl") != "1":
            yield f"{cluster}: let its parameter group set rds.force_ssl to '1'"
    for proxy in stack.all("AWS::RDS::DBProxy"):
        if proxy.properties.get("RequireTLS") is not True:
            yield f"{proxy}: set RequireTLS"


# What Lambda does itself, on its own side of the network.
BY_LAMBDA = {"sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage"}


@promise
def endpoints_let_through_what_functions_may_do(stack: Stack) -> Iterator[str]:
    let_through = {text(endpoint.properties["ServiceName"]).rsplit(".", 1)[-1]:
                   {action for statement in statements(endpoint) for action in texts(statement["Action"])}
                   for endpoint in stack.all("AWS::EC2::VPCEndpoint")
                   if endpoint.properties["VpcEndpointType"] == "Interface"}
    inside = {function.target(function.properties["Role"]) for function in stack.all("AWS::Lambda::Function")
              if at(function.properties, "VpcConfig", "SubnetIds")
              or function.properties.get("CapacityProviderConfig")}
    for role in sorted(inside, key=str):
        asked = {action for statement in statements(role) for action in texts(statement["Action"])} - BY_LAMBDA
        for action in sorted(asked):
            if (service := action.partition(":")[0]) in let_through and action not in let_through[service]:
                yield f"{role}: may do {action}, and the endpoint of {service} lets nobody: allow it there"


@promise
def every_subnet_is_routed_and_gives_no_public_addresses(stack: Stack) -> Iterator[str]:
    routed = {association.target(association.properties["SubnetId"])
              for association in stack.all("AWS::EC2::SubnetRouteTableAssociation")}
    for subnet in stack.all("AWS::EC2::Subnet"):
        if subnet not in routed:
            yield f"{subnet}: has no route table: add an AWS::EC2::SubnetRouteTableAssociation"
        if subnet.properties.get("MapPublicIpOnLaunch"):
            yield f"{subnet}: gives whatever starts in it a public address: leave out MapPublicIpOnLaunch"

"""The VPC, and who reaches whom in it."""

from collections.abc import Iterator

from expansion import Resource, Stack, as_list
from promises import at, promise

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
def every_subnet_is_routed_and_gives_no_public_addresses(stack: Stack) -> Iterator[str]:
    routed = {association.target(association.properties["SubnetId"])
              for association in stack.all("AWS::EC2::SubnetRouteTableAssociation")}
    for subnet in stack.all("AWS::EC2::Subnet"):
        if subnet not in routed:
            yield f"{subnet}: has no route table: add an AWS::EC2::SubnetRouteTableAssociation"
        if subnet.properties.get("MapPublicIpOnLaunch"):
            yield f"{subnet}: gives whatever starts in it a public address: leave out MapPublicIpOnLaunch"

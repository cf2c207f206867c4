"""Resource types that the emulator lacks, and that nothing on this machine could stand behind.

A stack may hold them: `Ref` and `Fn::GetAtt` give what they give on AWS in shape, and nothing else happens.
"""

import hashlib
from collections.abc import Callable
from typing import Any, NamedTuple

from ministack.core.responses import get_account_id, get_region
from ministack.services.cloudformation import provisioners

Properties = dict[str, Any]


class Names:
    """What a resource can be called that its template leaves unnamed: the same whenever its stack is updated."""

    def __init__(self, stack_name: str, logical_id: str):
        self.digest = hashlib.sha256(f"{stack_name}/{logical_id}".encode()).hexdigest()
        self.generated = f"{stack_name}-{logical_id}-{self.digest[:12].upper()}"

    def id(self, prefix: str) -> str:
        """An id as EC2 gives them."""
        return f"{prefix}-{self.digest[:17]}"

    def address(self) -> str:
        """An address of a range that is reserved for examples."""
        return f"203.0.113.{int(self.digest[:2], 16)}"


class Stub(NamedTuple):
    """What the references to a resource give."""

    ref: Callable[[Names, Properties], str]
    attributes: Callable[[str, Names, Properties], dict[str, str]] = lambda _ref, _names, _properties: {}


def _arn(service: str, resource: str) -> str:
    return f"arn:aws:{service}:{get_region()}:{get_account_id()}:{resource}"


def _of_ec2(prefix: str, attribute: str = "Id") -> Stub:
    return Stub(lambda names, _: names.id(prefix), lambda ref, _names, _properties: {attribute: ref})


def _named(property_name: str) -> Stub:
    return Stub(lambda names, properties: properties.get(property_name) or names.generated)


STUBS = {
    "AWS::ApplicationAutoScaling::ScalableTarget": Stub(
        lambda _, target: f"{target['ResourceId']}|{target['ScalableDimension']}|{target['ServiceNamespace']}",
        lambda ref, _names, _properties: {"Id": ref}),
    "AWS::ApplicationAutoScaling::ScalingPolicy": Stub(
        lambda names, policy: _arn(
            "autoscaling", f"scalingPolicy:{names.digest[:32]}:policyName/{policy['PolicyName']}"),
        lambda ref, _names, policy: {"Arn": ref, "PolicyName": policy["PolicyName"]}),
    "AWS::Budgets::Budget": Stub(
        lambda names, properties: properties["Budget"].get("BudgetName") or names.generated),
    "AWS::CodeDeploy::Application": _named("ApplicationName"),
    "AWS::CodeDeploy::DeploymentGroup": _named("DeploymentGroupName"),
    "AWS::EC2::EIP": Stub(
        lambda names, _: names.address(),
        lambda ref, names, _: {"AllocationId": names.id("eipalloc"), "PublicIp": ref}),
    "AWS::EC2::FlowLog": _of_ec2("fl"),
    "AWS::EC2::NatGateway": _of_ec2("nat", "NatGatewayId"),
    "AWS::EC2::SecurityGroupEgress": _of_ec2("sgr"),
    "AWS::EC2::SecurityGroupIngress": _of_ec2("sgr"),
    "AWS::Lambda::CapacityProvider": Stub(
        lambda names, properties: properties.get("CapacityProviderName") or names.generated,
        lambda ref, _names, _properties: {"Arn": _arn("lambda", f"capacity-provider:{ref}"), "State": "Active"}),
    "AWS::RDS::DBProxy": Stub(
        lambda _, proxy: proxy["DBProxyName"],
        lambda ref, names, _: {
            "DBProxyArn": _arn("rds", f"db-proxy:prx-{names.digest[:17]}"),
            "Endpoint": f"{ref}.proxy-{names.digest[:12]}.{get_region()}.rds.amazonaws.com"}),
    "AWS::RDS::DBProxyTargetGroup": Stub(
        lambda names, _: _arn("rds", f"target-group:prx-tg-{names.digest[:17]}"),
        lambda ref, _names, _properties: {"TargetGroupArn": ref}),
    "AWS::WAFv2::LoggingConfiguration": Stub(
        lambda _, properties: properties["ResourceArn"],
        lambda _ref, _names, _properties: {"ManagedByFirewallManager": "false"}),
    "AWS::WAFv2::WebACLAssociation": Stub(
        lambda _, properties: f"{properties['ResourceArn']}|{properties['WebACLArn']}"),
}


def stubs() -> None:
    """Upstream refuses a stack with a resource of a type that it does not know."""
    for resource_type, stub in STUBS.items():
        provisioners._RESOURCE_HANDLERS.setdefault(resource_type, _handlers(stub))


def _handlers(stub: Stub) -> dict[str, Any]:
    def create(logical_id, properties, stack_name):
        names = Names(stack_name, logical_id)
        ref = stub.ref(names, properties)
        return ref, stub.attributes(ref, names, properties)

    def update(_physical_id, _old, new, stack_name, logical_id):
        return create(logical_id, new, stack_name)

    def delete(_physical_id, _properties):
        pass

    return {"create": create, "update": update, "update_with_logical_id": True, "delete": delete}

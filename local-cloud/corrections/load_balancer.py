"""Load balancers in front of functions."""

from typing import Any

from ministack import app
from ministack.services import alb, lambda_svc
from ministack.services.cloudformation import provisioners

from .invocations import may_invoke

PRINCIPAL = "elasticloadbalancing.amazonaws.com"


def load_balancer_targets() -> None:
    """Upstream ignores the `Targets` of an `AWS::ElasticLoadBalancingV2::TargetGroup`. AWS registers them, and
    refuses a function whose policy does not let the load balancer call it."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::ElasticLoadBalancingV2::TargetGroup"]
    create_group, update_group, delete_group = handlers["create"], handlers["update"], handlers["delete"]

    def create(logical_id, properties, stack_name):
        arn, attributes = create_group(logical_id, properties, stack_name)
        try:
            _register(arn, properties)
        except ValueError:
            delete_group(arn, properties)
            raise
        return arn, attributes

    def update(group_arn, old, new, stack_name, logical_id=None):
        arn, attributes = update_group(group_arn, old, new, stack_name, logical_id)
        _register(arn, new)
        return arn, attributes

    handlers.update(create=create, update=update)


def _register(group_arn: str, properties: dict[str, Any]) -> None:
    targets = properties.get("Targets") or []
    if app.AUTH and properties.get("TargetType") == "lambda":
        for target in targets:
            if not may_invoke(PRINCIPAL, target["Id"], group_arn):
                raise ValueError(f"{PRINCIPAL} is not allowed to invoke {target['Id']} from target group {group_arn}")
    alb._targets[group_arn] = [dict(target) for target in targets]


def load_balancer_events() -> None:
    """Upstream decodes path and query before a function sees them, and sends single values of headers and
    parameters beside lists of them. AWS leaves both as the client has written them, and sends what the target
    group's `lambda.multi_value_headers.enabled` says, and nothing else."""
    forward_to_group, execute = alb._forward_to_tg, lambda_svc._execute_function_with_config_scope

    async def forward(group_arn, method, path, headers, body, query, raw_query=None, raw_path=None):
        if alb._tgs.get(group_arn, {}).get("TargetType") == "lambda" and raw_query is not None:
            path, query = raw_path or path, {}
            for pair in filter(None, raw_query.split("&")):
                name, _, value = pair.partition("=")
                query.setdefault(name, []).append(value)
        return await forward_to_group(group_arn, method, path, headers, body, query, raw_query, raw_path)

    def execute_for_load_balancer(function, event):
        if isinstance(event, dict) and "elb" in (event.get("requestContext") or {}) and "multiValueHeaders" in event:
            event = {name: value for name, value in event.items() if name not in ("headers", "queryStringParameters")}
        return execute(function, event)

    alb._forward_to_tg = forward
    lambda_svc._execute_function_with_config_scope = execute_for_load_balancer


def load_balancer_https() -> None:
    """Upstream has one port for all of a load balancer's listeners, and takes the first listener where a request
    names no other port. The one that serves is the HTTPS listener, if there is one: HTTP then only redirects."""
    dispatch_request = alb.dispatch_request

    async def dispatch(balancer, method, path, headers, body, query, port=80, *rest, **more):
        listeners = (known for known in alb._listeners.values()
                     if known["LoadBalancerArn"] == balancer["LoadBalancerArn"])
        ports = {listener["Protocol"]: listener["Port"] for listener in listeners}
        if port not in ports.values() and "HTTPS" in ports:
            port = ports["HTTPS"]
        return await dispatch_request(balancer, method, path, headers, body, query, port, *rest, **more)

    alb.dispatch_request = dispatch

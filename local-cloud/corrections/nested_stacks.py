"""Stacks within a stack."""

import asyncio
import copy
from typing import Any

from ministack.core.responses import get_account_id, get_region, new_uuid, now_iso
from ministack.services import cloudformation
from ministack.services.cloudformation import engine, helpers, provisioners, stacks

# What an update needs of the stack before it.
KEPT_FOR_UPDATE = (
    "_resources", "_template", "_template_body", "_resolved_params", "_conditions", "Parameters", "Tags", "Outputs")


def nested_stacks() -> None:
    """Upstream deploys a nested stack by a second, shorter way: without the template's transforms, without rolling
    back, and without the deletion policies; and after an update `Fn::GetAtt` fails for whatever did not change in it.
    Here a nested stack goes the way of every other one."""
    provisioners._RESOURCE_HANDLERS["AWS::CloudFormation::Stack"].update(create=_create, update=_update, delete=_delete)


def _create(logical_id: str, properties: dict[str, Any], parent: str) -> tuple[str, dict[str, str]]:
    name = f"{parent}-{logical_id}-{new_uuid()[:12].upper()}"
    stack_id = f"arn:aws:cloudformation:{get_region()}:{get_account_id()}:stack/{name}/{new_uuid()}"
    stack = {
        "StackName": name,
        "StackId": stack_id,
        "StackStatus": "CREATE_IN_PROGRESS",
        "StackStatusReason": "",
        "CreationTime": now_iso(),
        "Outputs": [],
        "DisableRollback": False,
        "ParentId": provisioners._cr_stack_id(parent),
        "RootId": cloudformation._stacks[parent].get("RootId") or provisioners._cr_stack_id(parent),
        "_region": get_region(),
        "_resources": {},
        **_described(properties, parent, {}),
    }
    cloudformation._stacks[name] = stack
    cloudformation._stack_events[stack_id] = []
    try:
        _deploy(stack)
    except ValueError:
        # Its parent does not know it yet, and so would leave it behind.
        asyncio.run(stacks._delete_stack_async(name, stack_id))
        raise
    return stack_id, _outputs(stack)


def _update(stack_id: str, _old: dict[str, Any], new: dict[str, Any], parent: str) -> tuple[str, dict[str, str]]:
    stack = _stack(stack_id)
    previous = {key: copy.deepcopy(stack[key]) for key in KEPT_FOR_UPDATE}
    stack.update(_described(new, parent, previous["_resolved_params"]), StackStatus="UPDATE_IN_PROGRESS")
    _deploy(stack, is_update=True, previous_stack=previous)
    return stack_id, _outputs(stack)


def _delete(stack_id: str, _properties: dict[str, Any]) -> None:
    stack = _stack(stack_id)
    asyncio.run(stacks._delete_stack_async(stack["StackName"], stack_id))
    if stack["StackStatus"] != "DELETE_COMPLETE":
        raise ValueError(stack["StackStatusReason"])


def _described(properties: dict[str, Any], parent: str, previous_parameters: dict[str, Any]) -> dict[str, Any]:
    """What a stack is to become, by its properties in the parent and the template that they name."""
    body, refused = helpers._resolve_template({"TemplateURL": [properties["TemplateURL"]]})
    if refused:
        raise ValueError(f"there is no template at {properties['TemplateURL']}")
    parameters = properties.get("Parameters") or {}
    if lists := [name for name, value in parameters.items() if isinstance(value, list)]:
        raise ValueError(f"Value of property Parameters must be an object with String (or simple type) properties: "
                         f"{', '.join(lists)}")
    given = [{"Key": name, "Value": _text(value)} for name, value in parameters.items()]
    template = engine._apply_transforms(engine._parse_template(body), given, previous_parameters)
    provisioners._check_nested_stack_capabilities(parent, template)
    resolved = engine._resolve_parameters(template, given, previous_parameters)
    conditions = engine._evaluate_conditions(template, resolved)
    engine.validate_template_support(template, conditions, params=resolved)
    tags = provisioners._tag_map(properties.get("Tags")).items()
    return {
        "LastUpdatedTime": now_iso(),
        "Description": template.get("Description", ""),
        "Parameters": [{"ParameterKey": name, "ParameterValue": parameter["Value"], "NoEcho": parameter["NoEcho"]}
                       for name, parameter in resolved.items()],
        "Tags": [{"Key": key, "Value": value} for key, value in tags if not key.startswith("aws:")],
        "Capabilities": provisioners._parent_capabilities(parent),
        "_template": template,
        "_template_body": body,
        "_resolved_params": resolved,
        "_conditions": conditions,
    }


def _text(value: str | float | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _deploy(stack: dict[str, Any], **update: Any) -> None:
    """Upstream gives a nested stack a thread of its own, and so this one may wait."""
    name, stack_id = stack["StackName"], stack["StackId"]
    asyncio.run(stacks._deploy_stack_async(
        name, stack_id, stack["_template"], stack["_resolved_params"], False, stack["Tags"], **update))
    if stack["StackStatus"] not in ("CREATE_COMPLETE", "UPDATE_COMPLETE"):
        failures = [event for event in cloudformation._stack_events[stack_id]
                    if event["ResourceStatus"].endswith("_FAILED")]
        first = failures[0] if failures else {"LogicalResourceId": name, "ResourceStatusReason": stack["StackStatus"]}
        raise ValueError(f"Embedded stack {stack_id} was not successfully deployed: "
                         f"{first['LogicalResourceId']}: {first['ResourceStatusReason']}")


def _stack(stack_id: str) -> dict[str, Any]:
    return cloudformation._stacks[provisioners._nested_stack_lookup_name(stack_id)]


def _outputs(stack: dict[str, Any]) -> dict[str, str]:
    return {f"Outputs.{output['OutputKey']}": output["OutputValue"] for output in stack["Outputs"]}

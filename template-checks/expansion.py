"""What CloudFormation would deploy: the template with its parameters, transforms, conditions and nested stacks
worked out as far as that can be done before a deployment.

What only the deployment knows stays as the intrinsic function that asks for it. In a nested stack this includes
the parameters that the parent fills from other resources: nothing compares such a value equal to a text.
"""

import copy
import dataclasses
import functools
import itertools
import json
import logging
import os
import re
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from ministack.services.cloudformation import engine, language_extensions
from samtranslator.translator.transform import transform as transform_sam
from samtranslator.yaml_helper import yaml_parse

REPOSITORY = Path(__file__).parent.parent
TEMPLATE = "template.yaml"
REGION = "us-west-2"

SAM = "AWS::Serverless-2016-10-31"
VARIABLE = re.compile(r"\$\{([^!}][^}]*)\}")
# SAM counts what it does, and warns that nobody asked for the figures.
logging.getLogger("samtranslator.metrics").setLevel(logging.ERROR)

NOTHING = object()  # A `Ref` to `AWS::NoValue`: the member that has it is left out.


@dataclasses.dataclass
class Stack:
    """A stack as it would be deployed, and what it was made from."""

    source: str
    parameters: dict[str, str]
    """The parameters whose values are known."""
    arguments: dict[str, Any]
    """The parameters whose values only the deployment knows, as the parent gives them."""
    parent: "Stack | None" = None
    template: dict = dataclasses.field(default_factory=dict)
    nested: dict[str, "Stack"] = dataclasses.field(default_factory=dict)

    @property
    def resources(self) -> list["Resource"]:
        return [Resource(self, name) for name in self.template["Resources"]]

    def stacks(self) -> Iterator["Stack"]:
        yield self
        for stack in self.nested.values():
            yield from stack.stacks()

    def all(self, *types: str) -> list["Resource"]:
        """The resources of these types, or all of them, here and in the nested stacks."""
        return [resource for stack in self.stacks() for resource in stack.resources
                if not types or resource.type in types]

    def target(self, value: Any) -> "Resource | None":
        """The one resource that a value refers to, through the parameters and outputs of stacks."""
        owners = {name for name in references(value) if not name.startswith("AWS::")}
        if len(owners) != 1:
            return None
        name = owners.pop()
        if name in self.arguments:
            return self.parent.target(self.arguments[name])
        if name in self.nested:
            output = self.nested[name].template["Outputs"][text(value).removeprefix(f"${{{name}.Outputs.").rstrip("}")]
            return self.nested[name].target(output["Value"])
        return Resource(self, name) if name in self.template["Resources"] else None

    def with_outputs(self, value: Any) -> Any:
        """A value with the outputs of nested stacks in the place of what refers to them."""
        match value:
            case {"Fn::GetAtt": [name, output]} if name in self.nested:
                nested = self.nested[name]
                return nested.with_outputs(nested.template["Outputs"][output.removeprefix("Outputs.")]["Value"])
            case dict():
                return {key: self.with_outputs(member) for key, member in value.items()}
            case list():
                return [self.with_outputs(item) for item in value]
        return value


@dataclasses.dataclass(frozen=True, eq=False)
class Resource:
    """A resource of an expanded stack."""

    stack: Stack
    name: str

    @property
    def definition(self) -> dict:
        return self.stack.template["Resources"][self.name]

    @property
    def type(self) -> str:
        return self.definition["Type"]

    @property
    def properties(self) -> dict:
        return self.definition.get("Properties", {})

    def target(self, value: Any) -> "Resource | None":
        return self.stack.target(value)

    def __str__(self) -> str:
        return f"{self.stack.source}: {self.name}"

    def __eq__(self, other: object) -> bool:
        return str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))


def text(value: Any) -> str:
    """A value in the notation of `Fn::Sub`, whichever function it is written with."""
    match value:
        case {"Ref": name}:
            return f"${{{name}}}"
        case {"Fn::GetAtt": [*path]}:
            return f"${{{'.'.join(path)}}}"
        case {"Fn::Sub": str(pattern)}:
            return pattern
        case {"Fn::Sub": [pattern, variables]}:
            return VARIABLE.sub(lambda match: text(variables.get(match[1], {"Ref": match[1]})), pattern)
        case {"Fn::Join": [separator, list(parts)]}:
            return separator.join(map(text, parts))
        case dict() | list():
            return json.dumps(value, sort_keys=True)
    return str(value)


def texts(value: Any) -> list[str]:
    """A text, or each text of a list."""
    return [text(item) for item in as_list(value)]


def as_list(value: Any) -> list:
    if value is None:
        return []
    return value if isinstance(value, list) else [value]


@functools.cache
def load(source: str) -> dict:
    """A template as it is written. Nobody changes it."""
    return yaml_parse((REPOSITORY / source).read_text())


def expand(parameters: dict[str, str], source: str = TEMPLATE, parent: Stack | None = None) -> Stack:
    """The stack of a template with these parameters. A value that is no text is what only the deployment knows."""
    template = load(source)
    arguments = {name: value for name, value in parameters.items() if not isinstance(value, str)}
    known = _known_parameters(source, template, {**parameters}, arguments)
    template = language_extensions.apply(template, known) if _declares(template, language_extensions.TRANSFORM) \
        else template
    template = _transform_sam(template, known) if _declares(template, SAM) else template

    resolve = _Resolver(template, known)
    stack = Stack(source, known, arguments, parent)
    stack.template = {
        "AWSTemplateFormatVersion": template["AWSTemplateFormatVersion"],
        "Description": template["Description"],
        "Parameters": {},
        "Resources": resolve.members(template["Resources"]),
        "Outputs": resolve.members(template.get("Outputs", {})),
    }
    _prune(stack, template)
    for name, definition in stack.template["Resources"].items():
        if definition["Type"] == "AWS::CloudFormation::Stack":
            _nest(stack, name, definition)
    return stack


def _known_parameters(source: str, template: dict, given: dict, arguments: dict) -> dict[str, str]:
    """The values of the parameters as far as they are known. Refuses what CloudFormation would."""
    declared = template.get("Parameters", {})
    if unknown := given.keys() - declared.keys():
        raise ValueError(f"{source} has no parameter {', '.join(sorted(unknown))}")
    remaining = {name: definition for name, definition in declared.items() if name not in arguments}
    entries = [{"Key": name, "Value": value} for name, value in given.items() if name not in arguments]
    try:
        resolved = engine._resolve_parameters({"Parameters": remaining}, entries)
        if not arguments:
            engine._evaluate_rules(template, resolved, {})
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    return {name: entry["Value"] for name, entry in resolved.items()}


def _declares(template: dict, transform: str) -> bool:
    return transform in as_list(template.get("Transform"))


def _transform_sam(template: dict, parameters: dict[str, str]) -> dict:
    template = copy.deepcopy(template)
    template["Transform"] = SAM
    for definition in template["Resources"].values():
        # `sam deploy` puts an address in the place of a folder before SAM sees the template.
        if definition["Type"] == "AWS::Serverless::Function":
            definition["Properties"]["CodeUri"] = f"s3://artifacts/{definition['Properties']['CodeUri']}"
    os.environ.setdefault("AWS_DEFAULT_REGION", REGION)
    no_managed_policies = SimpleNamespace(load=dict)
    return transform_sam(template, dict(parameters), no_managed_policies)


class _Resolver:
    """Works out intrinsic functions as far as the parameters tell."""

    def __init__(self, template: dict, known: dict[str, str]):
        self.conditions = template.get("Conditions", {})
        self.mappings = template.get("Mappings", {})
        declared = template.get("Parameters", {})
        self.known = {name: _typed(declared[name]["Type"], value) for name, value in known.items()}
        self.holds = functools.cache(lambda name: self.condition(self.conditions[name]))

    def members(self, section: dict) -> dict:
        """Those members of a section whose condition holds."""
        return {name: self.value({key: value for key, value in member.items() if key != "Condition"})
                for name, member in section.items() if "Condition" not in member or self.holds(member["Condition"])}

    def condition(self, expression: dict) -> bool:
        match expression:
            case {"Condition": name}:
                return self.holds(name)
            case {"Fn::Not": [inner]}:
                return not self.condition(inner)
            case {"Fn::And": inner}:
                return all(map(self.condition, inner))
            case {"Fn::Or": inner}:
                return any(map(self.condition, inner))
            case {"Fn::Equals": [left, right]}:
                return text(self.value(left)) == text(self.value(right))
        raise ValueError(f"no condition: {expression}")

    def value(self, node: Any) -> Any:
        if isinstance(node, list):
            return [value for value in map(self.value, node) if value is not NOTHING]
        if not isinstance(node, dict):
            return node
        match node:
            case {"Ref": "AWS::NoValue"}:
                return NOTHING
            case {"Ref": name}:
                return self.known.get(name, node)
            case {"Fn::If": [name, chosen, other]}:
                return self.value(chosen if self.holds(name) else other)
            case {"Fn::Sub": argument}:
                return self.substituted(argument)
        members = {key: self.value(value) for key, value in node.items()}
        node = {key: value for key, value in members.items() if value is not NOTHING}
        match node:
            case {"Fn::Join": [separator, list(parts)]} if all(map(_is_plain, parts)):
                return separator.join(map(str, parts))
            case {"Fn::Split": [separator, str(joined)]}:
                return joined.split(separator)
            case {"Fn::Select": [index, list(items)]}:
                return items[int(index)]
            case {"Fn::FindInMap": [str(name), str(first), str(second), *_]}:
                return self.mappings[name][first][second]
            case {"Fn::Cidr": [str(block), count, *bits]}:
                return engine._cidr_blocks(block, int(count), int(*bits or [8]))
        return node

    def substituted(self, argument: Any) -> Any:
        pattern, variables = argument if isinstance(argument, list) else (argument, {})
        variables = {name: self.value(value) for name, value in variables.items()}
        filled = VARIABLE.sub(
            lambda match: str(found) if _is_plain(found := variables.get(match[1], self.known.get(match[1])))
            else match[0], pattern)
        left = {name: value for name, value in variables.items() if not _is_plain(value)}
        if left:
            return {"Fn::Sub": [filled, left]}
        if VARIABLE.search(filled):
            return {"Fn::Sub": filled}
        return filled.replace("${!", "${")


def _typed(kind: str, value: str) -> Any:
    """A parameter's value as `Ref` gives it. A number is one, so that comparisons need not convert it."""
    if kind == "Number":
        return json.loads(value)
    if kind == "CommaDelimitedList" or kind.startswith("List<"):
        return [item.strip() for item in value.split(",")]
    return value


def _is_plain(value: Any) -> bool:
    return isinstance(value, (str, int, float))


def _prune(stack: Stack, template: dict) -> None:
    """Leaves out dependencies on resources that are not there, and parameters that nothing asks for any more."""
    resources = stack.template["Resources"]
    for definition in resources.values():
        if "DependsOn" in definition:
            definition["DependsOn"] = [name for name in as_list(definition["DependsOn"]) if name in resources]
            if not definition["DependsOn"]:
                del definition["DependsOn"]
    asked = set(itertools.chain.from_iterable(
        references(part) for part in [resources, stack.template["Outputs"]]))
    stack.template["Parameters"] = {
        name: {key: value for key, value in definition.items() if key != "Default"}
        for name, definition in template.get("Parameters", {}).items()
        if name in stack.arguments and name in asked}
    for section in ["Parameters", "Outputs"]:
        if not stack.template[section]:
            del stack.template[section]


def references(node: Any) -> Iterator[str]:
    """The names of all that a value refers to."""
    match node:
        case {"Ref": str(name)}:
            yield name
        case {"Fn::GetAtt": [str(name), *_]}:
            yield name
        case {"Fn::Sub": argument}:
            pattern, variables = argument if isinstance(argument, list) else (argument, {})
            yield from (name.split(".")[0] for name in VARIABLE.findall(pattern) if name not in variables)
            yield from references(list(variables.values()))
        case dict():
            yield from itertools.chain.from_iterable(map(references, node.values()))
        case list():
            yield from itertools.chain.from_iterable(map(references, node))


def _nest(stack: Stack, name: str, definition: dict) -> None:
    properties = definition["Properties"]
    source = properties["TemplateURL"]
    given = {key: _as_text(value) for key, value in properties.get("Parameters", {}).items()}
    nested = expand(given, source, stack)
    stack.nested[name] = nested
    # What the nested template has no parameter for any more is written out in it.
    remaining = nested.template.get("Parameters", {})
    properties["Parameters"] = {key: value for key, value in given.items() if key in remaining}
    properties["TemplateURL"] = file_name(nested)


def _as_text(value: Any) -> Any:
    """A nested stack gets texts."""
    if isinstance(value, list):
        return ",".join(map(text, value)) if all(map(_is_plain, value)) else {"Fn::Join": [",", value]}
    if isinstance(value, bool):
        return str(value).lower()
    return str(value) if _is_plain(value) else value


def file_name(stack: Stack) -> str:
    """What the file of an expanded stack is called."""
    return f"{Path(stack.source).stem}.json"

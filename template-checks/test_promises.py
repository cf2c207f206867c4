"""The template keeps its promises with every set of parameters.

    .local/venv/bin/python -m unittest discover -s template-checks
"""

import contextlib
import functools
import unittest
from collections.abc import Iterable

import access
import data  # noqa: F401 – its promises
import files  # noqa: F401
import messages
import monitoring  # noqa: F401
import network  # noqa: F401
import options
import reference
from expansion import TEMPLATE, Stack, as_list, expand, load, texts
from promises import PROMISES
from variants import EVERYTHING_ON, variants

# What a deployment with other parameters may start from.
STARTS = {"default": {}, "a network": {"Network": "vpc"}, **{name: variants()[name] for name in EVERYTHING_ON}}
# Of parameters that take any value.
OTHER_VALUES = {"CdnUrl": "https://other.example", "CorsOrigins": "https://other.example", "MinCapacity": "3",
                "MaxCapacity": "20", "MaxVCpus": "128", "OrderDeadlineSeconds": "60",
                "SecretRotationDays": ["0", "90"], "ThrottlingRateLimit": "100", "VpcCIDR": "10.1.0.0/16"}


@functools.cache
def updates() -> dict[str, tuple[Stack, Stack]]:
    """What one other parameter makes of each start, as far as the template's rules allow it."""
    found = {}
    for start, given in STARTS.items():
        before = expand(given)
        for name, definition in load(TEMPLATE)["Parameters"].items():
            for value in map(str, definition.get("AllowedValues", as_list(OTHER_VALUES.get(name)))):
                with contextlib.suppress(ValueError):
                    found[f"{start}: {name}={value}"] = before, expand(given | {name: value})
    return found


class Promises(unittest.TestCase):
    stacks: dict[str, Stack]

    @classmethod
    def setUpClass(cls):
        cls.stacks = {name: expand(parameters) for name, parameters in variants().items()}
        everything = variants()[EVERYTHING_ON[0]]
        cls.stacks["everything-on in prod"] = expand(everything | {"Environment": "prod",
                                                                   "CorsOrigins": "https://shop.example"})

    def verify(self, findings: dict[str, Iterable[str]]) -> None:
        """No findings; those of several variants are said once."""
        where: dict[str, list[str]] = {}
        for variant, found in findings.items():
            for finding in found:
                where.setdefault(finding, []).append(variant)
        lines = [f"{finding} ({', '.join(names)})" for finding, names in where.items()]
        if lines:
            self.fail("\n" + "\n".join(lines))

    def test_promises(self):
        for name, check in PROMISES.items():
            with self.subTest(name):
                self.verify({variant: check(stack) for variant, stack in self.stacks.items()})

    def test_nothing_optional_remains_when_all_is_off(self):
        self.verify({"default": options.remains_when_all_is_off(self.stacks["default"])})

    def test_every_parameter_adds_what_it_is_for(self):
        findings = {}
        for variant in EVERYTHING_ON:
            given = variants()[variant]
            for parameter, names in options.added(given).items():
                off = expand(options.without(parameter, given))
                findings[f"{variant}: {parameter}"] = options.is_not_added(parameter, names, self.stacks[variant], off)
        self.verify(findings)

    def test_what_is_switched_off_is_gone(self):
        default, findings = self.stacks["default"], {}
        for switch, names in options.REMOVED.items():
            parameter, _, value = switch.partition("=")
            findings[switch] = options.is_not_added(parameter, names, default, expand({parameter: value}))
        self.verify(findings)

    def test_everything_of_the_reference_is_there(self):
        absent = [set(reference.absent(self.stacks[name])) for name in EVERYTHING_ON]
        self.assertEqual(set(), set.intersection(*absent))

    def test_other_parameters_can_be_deployed(self):
        for check in [messages.changes_without_a_version, messages.versions_without_a_change,
                      messages.targets_that_change_in_place]:
            with self.subTest(check.__name__):
                self.verify({what: check(*update) for what, update in updates().items()})

    def test_every_exception_is_needed(self):
        resources = [resource for stack in self.stacks.values() for resource in stack.all()]
        found = [(resource, statement, place, value)
                 for resource in resources for statement in access.grants(resource)
                 for place, value in access.wildcards(statement)]
        unused = [f"{known.type} {known.pattern}" for known in access.UNAVOIDABLE
                  if not any(known.covers(*wildcard) for wildcard in found)]
        policies = {policy for resource in resources
                    for policy in texts(resource.properties.get("ManagedPolicyArns"))}
        unused += access.MANAGED_POLICIES.keys() - policies
        self.assertEqual([], unused, "no template needs this exception any more: remove it from access.py")

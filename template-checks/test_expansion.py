"""What CloudFormation would make of a template."""

import contextlib
import json
import tempfile
import unittest
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import expansion
from expansion import expand, text


@contextlib.contextmanager
def templates(**sources: dict) -> Iterator[None]:
    """Other templates in the place of the repository's."""
    with tempfile.TemporaryDirectory(prefix="template-checks-") as folder, \
            mock.patch.object(expansion, "REPOSITORY", Path(folder)):
        for name, source in sources.items():
            defaults = {"AWSTemplateFormatVersion": "2010-09-09", "Description": name, "Resources": {}}
            (Path(folder) / f"{name}.yaml").write_text(json.dumps(defaults | source))
        expansion.load.cache_clear()
        try:
            yield
        finally:
            expansion.load.cache_clear()


class Expansion(unittest.TestCase):
    def value(self, value: object, **parameters: str) -> object:
        """What becomes of a property in a template that has these parameters."""
        declared = {"Size": {"Type": "Number", "Default": 2}, "Zones": {"Type": "CommaDelimitedList", "Default": "a,b"},
                    "Stage": {"Type": "String", "Default": "dev"}}
        template = {"Parameters": declared, "Mappings": {"Sizes": {"dev": {"Disk": 7}}},
                    "Conditions": {"IsDev": {"Fn::Equals": [{"Ref": "Stage"}, "dev"]}},
                    "Resources": {"A": {"Type": "AWS::EC2::Volume", "Properties": {"Value": value}}}}
        with templates(template=template):
            return expand(parameters).template["Resources"]["A"]["Properties"].get("Value")

    def test_functions_are_worked_out(self):
        is_dev = {"Fn::If": ["IsDev", 1, {"Ref": "AWS::NoValue"}]}
        for value, expected in [
            ({"Ref": "Size"}, 2),
            ({"Ref": "Zones"}, ["a", "b"]),
            ({"Fn::Sub": "${Stage}-${Size}-${!Stage}"}, "dev-2-${Stage}"),
            ({"Fn::Sub": ["${Stage}-${B}", {"B": {"Ref": "Size"}}]}, "dev-2"),
            ({"Fn::Join": ["-", {"Ref": "Zones"}]}, "a-b"),
            ({"Fn::Select": [1, {"Fn::Split": [",", "a,b"]}]}, "b"),
            ({"Fn::FindInMap": ["Sizes", {"Ref": "Stage"}, "Disk"]}, 7),
            ({"Fn::Select": [1, {"Fn::Cidr": ["10.0.0.0/16", 2, 8]}]}, "10.0.1.0/24"),
            (is_dev, 1),
            ([is_dev, 2], [1, 2]),
        ]:
            with self.subTest(value):
                self.assertEqual(expected, self.value(value))
        self.assertIsNone(self.value(is_dev, Stage="prod"))
        self.assertEqual([2], self.value([is_dev, 2], Stage="prod"))

    def test_what_only_the_deployment_knows_stays(self):
        for value, expected in [
            ({"Ref": "A"}, "${A}"),
            ({"Fn::GetAtt": ["A", "Arn"]}, "${A.Arn}"),
            ({"Fn::Sub": "${Stage}-${AWS::Region}-${A.Arn}"}, "dev-${AWS::Region}-${A.Arn}"),
            ({"Fn::Sub": ["${Stage}-${B}", {"B": {"Ref": "A"}}]}, "dev-${A}"),
            ({"Fn::Join": ["-", [{"Ref": "Stage"}, {"Ref": "A"}]]}, "dev-${A}"),
        ]:
            with self.subTest(value):
                self.assertEqual(expected, text(self.value(value)))

    def test_members_without_their_condition_are_left_out(self):
        volume = {"Type": "AWS::EC2::Volume"}
        template = {"Conditions": {"Never": {"Fn::Equals": [1, 2]}, "Always": {"Fn::Not": [{"Condition": "Never"}]}},
                    "Resources": {"A": volume | {"Condition": "Never"}, "B": volume | {"Condition": "Always"},
                                  "C": volume | {"DependsOn": ["A"]}, "D": volume | {"DependsOn": ["A", "B"]}},
                    "Outputs": {"A": {"Condition": "Never", "Value": {"Ref": "A"}}}}
        with templates(template=template):
            expanded = expand({}).template
        self.assertEqual({"B": volume, "C": volume, "D": volume | {"DependsOn": ["B"]}}, expanded["Resources"])
        self.assertNotIn("Outputs", expanded)

    def test_nested_stacks_get_what_their_parent_gives(self):
        inner = {
            "Parameters": {"Name": {"Type": "String"}, "Key": {"Type": "String"},
                           "Log": {"Type": "String", "Default": ""}},
            "Conditions": {"HasKey": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Key"}, ""]}]},
                           "HasLog": {"Fn::Not": [{"Fn::Equals": [{"Ref": "Log"}, ""]}]}},
            "Resources": {"Table": {"Type": "AWS::DynamoDB::Table", "Condition": "HasKey",
                                    "Properties": {"TableName": {"Ref": "Name"}, "Key": {"Ref": "Key"}}},
                          "Log": {"Type": "AWS::Logs::LogGroup", "Condition": "HasLog"}},
            "Outputs": {"Table": {"Value": {"Fn::GetAtt": ["Table", "Arn"]}}}}
        outer = {
            "Resources": {"Key": {"Type": "AWS::KMS::Key"},
                          "Inner": {"Type": "AWS::CloudFormation::Stack", "Properties": {
                              "TemplateURL": "inner.yaml",
                              "Parameters": {"Name": "users", "Key": {"Fn::GetAtt": ["Key", "Arn"]}}}}}}
        with templates(template=outer, inner=inner):
            stack = expand({})
        table, = stack.all("AWS::DynamoDB::Table")
        self.assertEqual({"TableName": "users", "Key": {"Ref": "Key"}}, table.properties)
        self.assertEqual("template.yaml: Key", str(table.target(table.properties["Key"])))
        self.assertEqual(table, stack.target({"Fn::GetAtt": ["Inner", "Outputs.Table"]}))
        self.assertEqual(["${Table.Arn}"], list(map(text, stack.with_outputs(
            [{"Fn::GetAtt": ["Inner", "Outputs.Table"]}]))))
        self.assertEqual([], stack.all("AWS::Logs::LogGroup"))
        nested = stack.template["Resources"]["Inner"]["Properties"]
        self.assertEqual({"TemplateURL": "inner.json", "Parameters": {"Key": {"Fn::GetAtt": ["Key", "Arn"]}}}, nested)

    def test_loops_are_written_out(self):
        loop = {"Transform": "AWS::LanguageExtensions", "Resources": {"Fn::ForEach::Queues": [
            "Name", ["Users", "Orders"], {"${Name}Queue": {"Type": "AWS::SQS::Queue"}}]}}
        with templates(template=loop):
            self.assertEqual(["UsersQueue", "OrdersQueue"], [queue.name for queue in expand({}).all("AWS::SQS::Queue")])

    def test_the_template_refuses_what_can_not_work(self):
        for parameters, expected in [
            ({"Environment": "prod", "CorsOrigins": "*"}, "CorsOrigins has to name the origins"),
            ({"LoadBalancer": "true"}, "LoadBalancer=true needs Network=vpc"),
            ({"Environment": "prod", "CorsOrigins": "https://shop.example", "Network": "vpc", "LoadBalancer": "true"},
             "LoadBalancer=true needs CertificateArn in prod"),
            ({"Compute": "managed-instances"}, "Compute=managed-instances needs Network=vpc"),
            ({"Cache": "true"}, "Cache=true needs Network=vpc"),
            ({"Reporting": "true"}, "Reporting=true needs Network=vpc"),
            ({"ReportingProxy": "true"}, "ReportingProxy=true needs Reporting=true"),
            ({"DomainName": "api.shop.example"}, "DomainName needs CertificateArn"),
            ({"HostedZoneId": "Z1"}, "HostedZoneId needs DomainName"),
            ({"CdnUrl": "https://img.shop.example"}, "CdnUrl needs CdnDistributionArn"),
            ({"CdnUrl": "http://img.shop.example"}, "'CdnUrl' must match pattern"),
            ({"CdnUrl": "https://img.shop.example/"}, "'CdnUrl' must match pattern"),
            ({"CdnDistributionArn": "arn:aws:cloudfront::123456789012:distribution/E1"},
             "CdnDistributionArn needs CdnUrl"),
            ({"Zones": "4"}, "'Zones' value '4' is not in AllowedValues"),
            ({"Zone": "2"}, "has no parameter Zone"),
        ]:
            with self.subTest(parameters), self.assertRaisesRegex(ValueError, expected):
                expand(parameters)

"""cfn-lint, the serverless rules for it, and checkov, over templates without the suppressions in them.

A suppression stands in the `Metadata` of the resource that it is for. The linters don't see it, so that one that
nothing needs any more is found, too.
"""

import copy
import dataclasses
import json
import re
import subprocess
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

from expansion import REPOSITORY

CHECKOV = REPOSITORY / ".local/checkov/bin/checkov"
CFN_LINT = Path(sys.executable).parent / "cfn-lint"
DEADLINE_S = 300

CFN_LINT_RULE = re.compile(r"\b[EIW]S?\d{4}\b")


@dataclasses.dataclass(frozen=True)
class Finding:
    """What a linter says about a resource, or about something else in a template."""

    file: str
    resource: str | None
    rule: str
    message: str

    def __str__(self) -> str:
        return f"{self.file}: {self.resource or 'the template'}: {self.rule}: {self.message}"


@dataclasses.dataclass(frozen=True)
class Suppression:
    """What a linter may say about a resource, wherever the template is deployed."""

    template: str
    resource: str
    rule: str

    def covers(self, finding: Finding) -> bool:
        return (Path(finding.file).stem, finding.resource, finding.rule) == (self.template, self.resource, self.rule)

    def __str__(self) -> str:
        return f"{self.template}.yaml: {self.resource}: nothing needs the suppression of {self.rule}: remove it"


def written_out(template: dict) -> list[tuple[str, dict]]:
    """The resources of a template but for those in loops, which nothing is suppressed on."""
    return [(name, definition) for name, definition in template["Resources"].items() if "Type" in definition]


def without_suppressions(name: str, template: dict) -> tuple[dict, set[Suppression]]:
    """A template without what linters are told in it, and what they are told."""
    template = copy.deepcopy(template)
    suppressions = set()
    for resource, definition in written_out(template):
        metadata = definition.get("Metadata", {})
        ignored = metadata.pop("cfn-lint", {}).get("config", {}).get("ignore_checks", [])
        skipped = [skip["id"] for skip in metadata.pop("checkov", {}).get("skip", [])]
        suppressions |= {Suppression(name, resource, rule) for rule in [*ignored, *skipped]}
    return template, suppressions


def judge(findings: Iterable[Finding], suppressions: Iterable[Suppression]) -> Iterator[str]:
    """What is found and not suppressed, and what is suppressed and not found."""
    findings, suppressions = list(findings), list(suppressions)
    for finding in findings:
        if not any(suppression.covers(finding) for suppression in suppressions):
            yield str(finding)
    for suppression in suppressions:
        if not any(suppression.covers(finding) for finding in findings):
            yield str(suppression)


def unexplained(source: str, content: str, template: dict) -> Iterator[str]:
    """Suppressions without a reason: a member of checkov's, a comment at or above cfn-lint's."""
    for name, definition in written_out(template):
        for skip in definition.get("Metadata", {}).get("checkov", {}).get("skip", []):
            if not skip.get("comment"):
                yield f"{source}: {name} skips {skip['id']}: say why in its comment"
    above = ""
    for number, line in enumerate(content.splitlines(), start=1):
        rule = CFN_LINT_RULE.search(line.partition("#")[0])
        if rule and "#" not in line + above:
            yield f"{source}:{number}: say in a comment why {rule[0]} is ignored"
        above = line


class Linter:
    """A linter that runs in a folder."""

    def __init__(self, folder: Path, command: list[str | Path]):
        # Both say with their exit code that they found something, and nobody listens.
        self.process = subprocess.Popen(command, cwd=folder, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def close(self) -> None:
        self.process.kill()
        self.process.communicate()

    def output(self) -> list | dict:
        printed, errors = self.process.communicate(timeout=DEADLINE_S)
        try:
            return json.loads(printed)
        except json.JSONDecodeError as error:
            raise AssertionError(f"{self.process.args[0]} could not run:\n{errors}\n{printed}") from error

    def findings(self) -> Iterator[Finding]:
        raise NotImplementedError


class CfnLint(Linter):
    def __init__(self, folder: Path, files: list[str], *options: str):
        super().__init__(folder, [CFN_LINT, "--format", "json", *options, "--", *files])

    def findings(self) -> Iterator[Finding]:
        for match in self.output():
            path = match["Location"]["Path"] or []
            resource = path[1] if path[:1] == ["Resources"] and len(path) > 1 else None
            yield Finding(match["Filename"], resource, match["Rule"]["Id"], match["Message"])


class Checkov(Linter):
    def __init__(self, folder: Path, files: list[str]):
        # It asks nothing of the network.
        super().__init__(folder, [CHECKOV, "--framework", "cloudformation", "--skip-download", "--quiet", "--compact",
                                  "--output", "json", "--file", *files])

    def findings(self) -> Iterator[Finding]:
        output = self.output()
        assert output["summary"]["resource_count"] and not output["summary"]["parsing_errors"], output["summary"]
        for check in output["results"]["failed_checks"]:
            yield Finding(check["file_path"].lstrip("/"), check["resource"].split(".", 1)[1], check["check_id"],
                          check["check_name"])

"""A local cloud for the launcher's tests."""

import contextlib
import copy
import hashlib
import io
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
import uuid
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import boto3
import botocore.config

LAUNCHER = Path(__file__).parent / "launcher.py"
FIXTURES = Path(__file__).parent / "fixtures"
TEMPLATE = FIXTURES / "template.yaml"
ACCOUNT = "000000000000"
DEADLINE_S = 5


class Answer(NamedTuple):
    status: int
    headers: Any
    body: bytes


class Cloud:
    """A launcher process of its own on a free port, with the test template deployed."""

    def __init__(self, without: str = "", *options: str):
        self._folder = tempfile.TemporaryDirectory(prefix="local-cloud-test-")
        self.folder = Path(self._folder.name)
        self.journal = self.folder / "journal"
        self.log = open(self.folder / "log", "w+b")
        self.port = free_port()
        self._paused: set[str] = set()
        self.session = boto3.Session()  # Clouds start on several threads, and a session is not for sharing.
        self.process = subprocess.Popen(
            [sys.executable, LAUNCHER, "--port", str(self.port), "--auth", *options],
            env={**os.environ, "LOCAL_CLOUD_WITHOUT": without, "TMPDIR": self._folder.name, "STRAY": "setting"},
            stdout=self.log, stderr=subprocess.STDOUT)
        try:
            self._await_start()
            self.outputs = self.deploy(ACCOUNT)
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Cloud":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(DEADLINE_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        self._folder.cleanup()

    def _await_start(self) -> None:
        def started() -> bool:
            if self.process.poll() is not None:
                self.log.seek(0)
                raise RuntimeError(f"the launcher ended: {self.log.read().decode()}")
            try:
                return self.request(f"http://127.0.0.1:{self.port}/_ministack/health").status == 200
            except OSError:
                return False

        eventually(started, deadline_s=20)

    def restart(self) -> None:
        """Have the process begin anew with its state, and await that it answers again."""
        with socket.create_connection(("127.0.0.1", self.port), DEADLINE_S) as connection:
            self.process.send_signal(signal.SIGHUP)
            with contextlib.suppress(ConnectionResetError):
                connection.recv(1)  # The end of what was before.
        self._await_start()

    def client(self, service: str, access_key: str = ACCOUNT, secret_key: str = "test", token: str | None = None):
        return self.session.client(
            service, endpoint_url=f"http://127.0.0.1:{self.port}", region_name="us-east-1",
            aws_access_key_id=access_key, aws_secret_access_key=secret_key, aws_session_token=token,
            config=botocore.config.Config(
                retries={"total_max_attempts": 1}, signature_version="s3v4" if service == "s3" else None))

    def role_client(self, service: str):
        """A client with the credentials of the function's role."""
        role = self.echo()["environment"]
        return self.client(
            service, role["AWS_ACCESS_KEY_ID"], role["AWS_SECRET_ACCESS_KEY"], role["AWS_SESSION_TOKEN"])

    @contextlib.contextmanager
    def role_without(self, action: str):
        """Take an action away from the function's role for a while."""
        iam, policy = self.client("iam"), {"RoleName": self.outputs["RoleName"], "PolicyName": "function"}
        document = iam.get_role_policy(**policy)["PolicyDocument"]
        iam.put_role_policy(**policy, PolicyDocument=json.dumps(less(document, action)))
        try:
            yield
        finally:
            iam.put_role_policy(**policy, PolicyDocument=json.dumps(document))

    @contextlib.contextmanager
    def key_without(self, value: str):
        """Take an action, or what narrows one, away from the policy of the key for a while."""
        kms, key = self.client("kms"), {"KeyId": self.outputs["KeyId"], "PolicyName": "default"}
        document = json.loads(kms.get_key_policy(**key)["Policy"])
        kms.put_key_policy(**key, Policy=json.dumps(less(document, value)))
        try:
            yield
        finally:
            kms.put_key_policy(**key, Policy=json.dumps(document))

    def deploy(self, account: str) -> dict[str, str]:
        """Deploy the test template into an account and return its outputs."""
        code, package = io.BytesIO(), f"#!{sys.executable}\n{(FIXTURES / 'bootstrap.py').read_text()}"
        with zipfile.ZipFile(code, "w") as archive:
            bootstrap = zipfile.ZipInfo("bootstrap")
            bootstrap.external_attr = 0o755 << 16
            archive.writestr(bootstrap, package)
        s3, bucket = self.client("s3", account), f"code-{account}"
        s3.create_bucket(Bucket=bucket)
        s3.put_object(Bucket=bucket, Key="function.zip", Body=code.getvalue())
        stack = self.create_stack("test", TEMPLATE.read_text(), account, CodeBucket=bucket, Journal=str(self.journal))
        if stack["StackStatus"] != "CREATE_COMPLETE":
            raise RuntimeError(f"{stack['StackStatus']}: {stack.get('StackStatusReason')}")
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def create_stack(self, name: str, template: str, account: str = ACCOUNT, **parameters: str) -> dict[str, Any]:
        """Create a stack, await its end, good or bad, and return its description."""
        return self._deploy_stack("create_stack", name, template, account, parameters)

    def update_stack(self, name: str, template: str, **parameters: str) -> dict[str, Any]:
        """Update a stack, await its end, good or bad, and return its description."""
        return self._deploy_stack("update_stack", name, template, ACCOUNT, parameters)

    def _deploy_stack(self, operation: str, name: str, template: str, account: str, parameters: dict[str, str]):
        cloudformation = self.client("cloudformation", account)
        getattr(cloudformation, operation)(
            StackName=name, TemplateBody=template, Capabilities=["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"],
            Parameters=[{"ParameterKey": key, "ParameterValue": value} for key, value in parameters.items()])
        return self._await_stack(name, account)

    def delete_stack(self, name: str) -> dict[str, Any]:
        """Delete a stack, await its end, good or bad, and return its last description."""
        cloudformation = self.client("cloudformation")
        stack_id = cloudformation.describe_stacks(StackName=name)["Stacks"][0]["StackId"]
        cloudformation.delete_stack(StackName=name)
        return self._await_stack(stack_id, ACCOUNT)

    def _await_stack(self, name: str, account: str) -> dict[str, Any]:
        cloudformation = self.client("cloudformation", account)

        def finished() -> dict[str, Any] | None:
            stack = cloudformation.describe_stacks(StackName=name)["Stacks"][0]
            return None if stack["StackStatus"].endswith("IN_PROGRESS") else stack

        return eventually(finished, deadline_s=20)

    def upload(self, template: dict[str, Any]) -> str:
        """The address of a template for a nested stack."""
        body = json.dumps(template)
        key = hashlib.sha256(body.encode()).hexdigest()
        self.client("s3").put_object(Bucket=f"code-{ACCOUNT}", Key=key, Body=body)
        return f"https://s3.us-east-1.amazonaws.com/code-{ACCOUNT}/{key}"

    def request(self, path: str, headers: dict[str, str] | None = None, body: bytes | None = None,
                method: str | None = None, api_id: str | None = None) -> Answer:
        url = path
        if not path.startswith("http"):
            url = f"http://127.0.0.1:{self.port}/_aws/execute-api/{api_id or self.outputs['ApiId']}{path}"
        try:
            with urllib.request.urlopen(urllib.request.Request(url, body, headers or {}, method=method)) as answer:
                return Answer(answer.status, answer.headers, answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return Answer(error.code, error.headers, error.read())

    def echo(self, path: str = "/api/users/me", headers: dict[str, str] | None = None) -> dict[str, Any]:
        """The event that the function got for a request, and the function's environment."""
        return json.loads(self.request(path, headers).body)

    def instrument(self, method: str, name: str, settings: dict[str, Any] | None = None) -> Any:
        """Use an instrument of the cloud, and return what it answers."""
        address = f"http://127.0.0.1:{self.port}/_local_cloud/{name}"
        answer = self.request(address, body=json.dumps(settings).encode() if settings else None, method=method)
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def events(self) -> list[dict[str, Any]]:
        """Every event that the function got."""
        return [json.loads(line) for line in self.journal.read_text().splitlines()] if self.journal.exists() else []

    def messages(self) -> list[str]:
        """The bodies of all messages that the function got."""
        return [record["body"] for event in self.events() for record in event.get("Records", []) if "body" in record]

    def put_rows(self, *rows: dict[str, Any]) -> list[str]:
        """Write rows with new ids, which the stream's mapping then finds all at once."""
        ids = [str(uuid.uuid4()) for _ in rows]
        with self.paused_mapping("dynamodb"):
            for key, row in zip(ids, rows):
                self.client("dynamodb").put_item(TableName="table", Item={"id": {"S": key}, **row})
        return ids

    @contextlib.contextmanager
    def paused_mapping(self, service: str, **settings: Any):
        """Keep the function from what is in its queue or stream for a while, and give the mapping settings for then."""
        if service in self._paused:
            yield
            return
        functions = self.client("lambda")
        mapping, = (known["UUID"] for known in functions.list_event_source_mappings()["EventSourceMappings"]
                    if f":{service}:" in known["EventSourceArn"])
        functions.update_event_source_mapping(UUID=mapping, Enabled=False)
        self._paused.add(service)
        try:
            yield
        finally:
            self._paused.remove(service)
            functions.update_event_source_mapping(UUID=mapping, Enabled=True, **settings)

    def batches_with(self, ids: list[str]) -> list[list[str]]:
        """The stream batches so far that held some of these rows, as lists of their ids."""
        batches = [[record["dynamodb"]["Keys"]["id"]["S"] for record in event["Records"] if "dynamodb" in record]
                   for event in self.events() if "Records" in event]
        return [batch for batch in batches if set(batch) & set(ids)]


def less(document: dict[str, Any], value: str) -> dict[str, Any]:
    """A policy without an action, or without one of the values in its conditions."""
    def without(node: Any) -> Any:
        match node:
            case dict():
                return {key: without(member) for key, member in node.items()}
            case list():
                return [without(item) for item in node if item != value]
        return [] if node == value else node

    document = copy.deepcopy(document)
    statements = [statement | {key: without(statement[key]) for key in ["Action", "Condition"] if key in statement}
                  for statement in document["Statement"]]
    return document | {"Statement": [statement for statement in statements if statement["Action"]]}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def eventually(condition, deadline_s: float = DEADLINE_S, every_s: float = 0.05):
    """Await a condition and return its value."""
    end, pause = time.monotonic() + deadline_s, threading.Event()
    while not (value := condition()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {deadline_s} s")
        pause.wait(every_s)
    return value

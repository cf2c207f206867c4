"""Every correction of the local cloud, with it and without it.

    .local/venv/bin/python -m unittest discover -s local-cloud

A check runs twice: against a cloud with all corrections, where it has to pass, and against one that leaves out
the correction in question, where it has to fail. When upstream is fixed the second run passes as well, and the
test says that the correction can be dropped.
"""

import concurrent.futures
import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
import unittest
import uuid
from pathlib import Path
from typing import Any

import botocore.exceptions

from cloud_for_tests import ACCOUNT, DEADLINE_S, LAUNCHER, Cloud, eventually, free_port
from corrections import CORRECTIONS
from corrections.stubs import STUBS

MADE_BY_SAM = {"AWS::CodeDeploy::Application", "AWS::CodeDeploy::DeploymentGroup"}
from load_balancer_checks import LoadBalancerChecks


class Corrections(LoadBalancerChecks, unittest.TestCase):
    cloud: Cloud
    background: concurrent.futures.Executor
    stock: dict[str, concurrent.futures.Future[Cloud]]

    @classmethod
    def setUpClass(cls):
        cls.cloud = Cloud()
        cls.addClassCleanup(cls.cloud.close)
        cls.background = concurrent.futures.ThreadPoolExecutor(max_workers=2)
        cls.addClassCleanup(cls.background.shutdown)
        cls.stock = {}
        cls.addClassCleanup(lambda: [start.result().close() for start in cls.stock.values()])

    def verify(self, correction: str, upstream: str, check) -> None:
        stock = self.start_without(correction)
        try:
            check(self.cloud)
            without = stock.result()
            with self.assertRaises(AssertionError, msg=f"upstream now {upstream}: drop the correction {correction!r}"):
                check(without)
        finally:
            self.background.submit(lambda: stock.result().close())

    def start_without(self, correction: str) -> concurrent.futures.Future[Cloud]:
        """A cloud without this correction; that for the next test starts meanwhile, as starting takes most time."""
        later = [name for name in sorted(CORRECTIONS) if name > correction]
        for name in [correction, *later[:1]]:
            if name not in self.stock:
                self.stock[name] = self.background.submit(Cloud, name)
        return self.stock.pop(correction)

    def test_runtime_api_delay(self):
        self.verify("runtime-api-delay", "answers the runtime without delay", self.check_call_time)

    def test_log_wait(self):
        self.verify("log-wait", "returns a call's answer without waiting for logs", self.check_call_time)

    def check_call_time(self, cloud: Cloud):
        invoke = cloud.client("lambda").invoke
        for _ in range(10):  # The kernel delays acknowledgements only once a connection has seen some traffic.
            invoke(FunctionName="function", Payload=b"{}")
        times = [timed(lambda: invoke(FunctionName="function", Payload=b"{}")) for _ in range(15)]
        # What is corrected is added to each call, unlike what else the machine does.
        self.assertLess(min(times), 0.030)

    def test_late_log_lines(self):
        def check(cloud: Cloud):
            def late_lines() -> int:
                events = cloud.client("logs").filter_log_events(logGroupName="/aws/lambda/function")["events"]
                return sum(event["message"] == "a late line" for event in events)

            # Both at once, so that the later one's environment is not that of the next call.
            with concurrent.futures.ThreadPoolExecutor() as callers:
                answers = callers.map(cloud.request, ["/api/users/late"] * 2)
                self.assertEqual([answer.status for answer in answers], [200, 200])
            eventually(lambda: late_lines() == 2)

        self.verify("late-log-lines", "logs what a function writes after its answer", check)

    def test_http_api_import(self):
        def check(cloud: Cloud):
            self.assertEqual(cloud.request("/api/users/me").status, 200)
            self.assertEqual(cloud.echo("/api/users/me")["event"]["routeKey"], "ANY /api/users/{proxy+}")
            self.assertEqual(cloud.echo("/elsewhere")["event"]["routeKey"], "$default")
            preflight = cloud.request("/api/users/me", {"origin": "http://localhost:3000"}, method="OPTIONS")
            self.assertEqual(preflight.headers["access-control-allow-origin"], "http://localhost:3000")

            shared = cloud.outputs["SharedIntegrationApiId"]
            self.assertEqual(cloud.request("/api/users", api_id=shared).status, 200)
            self.assertEqual(cloud.request("/api/users/me", api_id=shared).status, 200)
            self.assertEqual(cloud.request("/elsewhere", api_id=shared).status, 404)

        self.verify("http-api-import", "imports the routes of an HTTP API", check)

    def test_http_api_accounts(self):
        def check(cloud: Cloud):
            api_id = cloud.deploy("111111111111")["ApiId"]
            self.assertEqual(cloud.request("/api/users/me", api_id=api_id).status, 200)

        self.verify("http-api-accounts", "finds an API in any account", check)

    def test_http_preflights(self):
        def check(cloud: Cloud):
            headers = {"origin": "http://localhost:3000", "access-control-request-method": "GET"}
            preflight = cloud.request("/api/users/me", headers, method="OPTIONS")
            self.assertEqual(preflight.status, 200)
            self.assertEqual(json.loads(preflight.body)["event"]["requestContext"]["http"]["method"], "OPTIONS")
            self.assertEqual(preflight.headers["access-control-allow-origin"], "http://localhost:3000")
            self.assertEqual(preflight.headers["access-control-allow-methods"], "GET")
            headers["origin"] = "http://elsewhere.example"
            preflight = cloud.request("/api/users/me", headers, method="OPTIONS")
            self.assertEqual(preflight.status, 200)
            self.assertNotIn("access-control-allow-origin", preflight.headers)

        self.verify("http-preflights", "passes preflights on to a route that takes any method", check)

    def test_http_api_permissions(self):
        def check(cloud: Cloud):
            uri = ("arn:aws:apigateway:us-east-1:lambda:path/2015-03-31/functions/"
                   f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:function/invocations")
            integration = {"type": "aws_proxy", "httpMethod": "POST", "payloadFormatVersion": "2.0", "uri": uri}
            route = {"x-amazon-apigateway-any-method": {"x-amazon-apigateway-integration": integration}}
            body = {"openapi": "3.0.1", "info": {"title": "stranger", "version": "1"}, "paths": {"/$default": route}}
            resources = {
                "Api": {"Type": "AWS::ApiGatewayV2::Api", "Properties": {"Body": body}},
                "Stage": {"Type": "AWS::ApiGatewayV2::Stage", "Properties": {
                    "ApiId": {"Ref": "Api"}, "StageName": "$default", "AutoDeploy": True}},
            }
            stranger = self.outputs_of(cloud, "stranger-api", resources, {"Id": {"Ref": "Api"}})["Id"]
            self.assertEqual(cloud.request("/", api_id=stranger).status, 500)
            self.assertEqual(cloud.request("/api/users", api_id=cloud.outputs["SharedIntegrationApiId"]).status, 200)

        self.verify("http-api-permissions", "asks the policy of a function", check)

    def test_http_cookies(self):
        def check(cloud: Cloud):
            event = cloud.echo(headers={"cookie": "a=1; b=2"})["event"]
            self.assertEqual(event.get("cookies"), ["a=1", "b=2"])
            self.assertNotIn("cookie", event["headers"])

        self.verify("http-cookies", "moves cookies to their list", check)

    def test_http_forwarded(self):
        def check(cloud: Cloud):
            headers = cloud.echo(headers={"x-forwarded-for": "192.0.2.1"})["event"]["headers"]
            self.assertEqual(headers.get("x-forwarded-for"), "192.0.2.1, 127.0.0.1")
            self.assertEqual(headers.get("x-forwarded-proto"), "https")
            self.assertEqual(headers.get("x-forwarded-port"), "443")

        self.verify("http-forwarded", "sends the forwarding headers", check)

    def test_http_source_address(self):
        def check(cloud: Cloud):
            path = f"/_aws/execute-api/{cloud.outputs['ApiId']}/api/users/me"
            client = http.client.HTTPConnection("127.0.0.1", cloud.port, source_address=("127.0.0.2", 0))
            with contextlib.closing(client):
                client.request("GET", path, headers={"x-forwarded-for": "192.0.2.1"})
                event = json.loads(client.getresponse().read())["event"]
            self.assertEqual(event["requestContext"]["http"]["sourceIp"], "127.0.0.2")
            self.assertEqual(event["headers"].get("x-forwarded-for"), "192.0.2.1, 127.0.0.2")

        self.verify("http-source-address", "says where a request comes from", check)

    def test_http_payload_limits(self):
        def check(cloud: Cloud):
            text = {"content-type": "application/json"}
            self.assertEqual(cloud.request("/api/users/me", text, b"x" * 7_000_000).status, 413)
            self.assertEqual(cloud.request("/api/users/large").status, 500)

        self.verify("http-payload-limits", "limits payloads", check)

    def test_http_function_errors(self):
        def check(cloud: Cloud):
            answer = cloud.request("/api/users/fail")
            self.assertEqual(answer.status, 500)
            self.assertEqual(json.loads(answer.body), {"message": "Internal Server Error"})

        self.verify("http-function-errors", "hides the errors of functions", check)

    def test_filtered_messages(self):
        def check(cloud: Cloud):
            sqs, queue = cloud.client("sqs"), f"http://127.0.0.1:{cloud.port}/{ACCOUNT}/queue"
            wanted, other = '{"type":"raise"}', '{"type":"other"}'
            with cloud.paused_mapping("sqs", FilterCriteria={"Filters": [{"Pattern": '{"body":{"type":["raise"]}}'}]}):
                for body in [other, wanted]:
                    sqs.send_message(QueueUrl=queue, MessageBody=body)
            eventually(lambda: wanted in cloud.messages())
            self.assertNotIn(other, cloud.messages())
            counts = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
            sqs.purge_queue(QueueUrl=queue)
            with cloud.paused_mapping("sqs", FilterCriteria={}):
                pass
            self.assertEqual(counts["ApproximateNumberOfMessagesNotVisible"], "1", "the one that failed")

        self.verify("filtered-messages", "deletes what a filter leaves out", check)

    def test_stream_batches(self):
        def check(cloud: Cloud):
            # A reported record is given again, with those after it and without those before it.
            ids = cloud.put_rows({}, {"report": {"BOOL": True}}, {})
            eventually(lambda: len(cloud.batches_with(ids)) == 3)
            self.assertEqual(cloud.batches_with(ids), [ids, ids[1:], ids[1:]])
            self.assertEqual(self.discarded(cloud)["DDBStreamBatchInfo"]["batchSize"], 2)

            # A batch that fails as a whole is halved down to the culprit, which alone is given up.
            ids = cloud.put_rows({}, {}, {"raise": {"BOOL": True}}, {})
            eventually(lambda: ids[3:] in cloud.batches_with(ids), deadline_s=10)
            self.assertEqual(cloud.batches_with(ids), [ids, ids[:2], ids[2:], ids[2:3], ids[2:3], ids[3:]])
            record = self.discarded(cloud)
            self.assertEqual(record["requestContext"]["condition"], "RetryAttemptsExhausted")
            self.assertEqual(record["DDBStreamBatchInfo"]["batchSize"], 1)

        self.verify("stream-batches", "handles failures in a stream batch", check)

    def discarded(self, cloud: Cloud) -> dict[str, Any]:
        sqs = cloud.client("sqs")
        url = sqs.get_queue_url(QueueName="failures")["QueueUrl"]
        messages = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=DEADLINE_S).get("Messages", [])
        self.assertEqual(len(messages), 1)
        message = messages[0]
        sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
        return json.loads(message["Body"])

    def test_secret_generator(self):
        def check(cloud: Cloud):
            secret = cloud.client("secretsmanager").get_secret_value(SecretId="secret")["SecretString"]
            self.assertRegex(json.loads(secret)["value"], r"\A[a-z0-9]{200}\Z")

        self.verify("secret-generator", "knows every option of GenerateSecretString", check)

    def test_secret_ref(self):
        def check(cloud: Cloud):
            self.assertEqual(cloud.outputs["SecretRef"], cloud.outputs["SecretArn"])
            self.assertAllowed(cloud.role_client("secretsmanager").get_secret_value, SecretId="secret")

        self.verify("secret-ref", "makes a secret's ARN of its Ref", check)

    def test_secret_versions(self):
        def check(cloud: Cloud):
            secrets, secret = cloud.client("secretsmanager"), {"SecretId": "versions"}
            secrets.create_secret(Name="versions", SecretString="one")
            first, second = str(uuid.uuid4()), str(uuid.uuid4())
            for token in [first, first, second]:
                secrets.put_secret_value(
                    **secret, ClientRequestToken=token, SecretString="two", VersionStages=["AWSPENDING"])
            stages = secrets.describe_secret(**secret)["VersionIdsToStages"]
            self.assertEqual([version for version, names in stages.items() if "AWSPENDING" in names], [second])
            with self.assertRaisesRegex(botocore.exceptions.ClientError, "ResourceExists", msg="another value"):
                secrets.put_secret_value(
                    **secret, ClientRequestToken=second, SecretString="three", VersionStages=["AWSPENDING"])
            secrets.create_secret(Name="empty")
            with self.assertRaisesRegex(botocore.exceptions.ClientError, "ResourceNotFound", msg="no value"):
                secrets.get_secret_value(SecretId="empty")

        self.verify("secret-versions", "keeps the value of a version", check)

    def test_secret_rotation(self):
        def check(cloud: Cloud):
            function = f"arn:aws:lambda:us-east-1:{ACCOUNT}:function:function"
            may_call = {"Type": "AWS::Lambda::Permission", "Properties": {
                "FunctionName": function, "Action": "lambda:InvokeFunction",
                "Principal": "secretsmanager.amazonaws.com", "SourceArn": {"Ref": "Secret"}}}
            schedule = {"Type": "AWS::SecretsManager::RotationSchedule", "DependsOn": ["Permission"], "Properties": {
                "SecretId": {"Ref": "Secret"}, "RotationLambdaARN": function, "RotateImmediatelyOnUpdate": False,
                "RotationRules": {"AutomaticallyAfterDays": "30"}}}
            secret = {"Type": "AWS::SecretsManager::Secret", "Properties": {"SecretString": "one"}}
            arn = self.outputs_of(cloud, "rotation", {"Secret": secret, "Permission": may_call, "Rotation": schedule},
                                  {"Secret": {"Ref": "Rotation"}})["Secret"]
            secrets = cloud.client("secretsmanager")

            def steps() -> list[str]:
                return [event["Step"] for event in cloud.events() if event.get("SecretId") == arn]

            def shown() -> dict[str, Any]:
                return secrets.describe_secret(SecretId=arn)

            eventually(lambda: steps() == ["testSecret"] and len(shown()["VersionIdsToStages"]) == 1)
            self.assertEqual(shown()["RotationRules"], {"AutomaticallyAfterDays": 30})
            token = secrets.rotate_secret(SecretId=arn)["VersionId"]
            every_step = ["createSecret", "setSecret", "testSecret", "finishSecret"]
            eventually(lambda: steps()[1:] == every_step)
            self.assertEqual(shown()["VersionIdsToStages"][token], ["AWSPENDING"], "the function did nothing")
            self.assertEqual(secrets.get_secret_value(SecretId=arn)["SecretString"], "one")
            with self.assertRaisesRegex(botocore.exceptions.ClientError, "previous rotation isn't complete"):
                secrets.rotate_secret(SecretId=arn)
            eventually(lambda: steps()[5:] == every_step)
            self.assertEqual({event["ClientRequestToken"] for event in cloud.events()[-4:]}, {token})

            cloud.client("lambda").remove_permission(
                FunctionName="function",
                StatementId=self.statement_for(cloud, "secretsmanager.amazonaws.com"))
            with self.assertRaisesRegex(botocore.exceptions.ClientError, "cannot invoke"):
                secrets.rotate_secret(SecretId=arn)

        self.verify("secret-rotation", "rotates secrets by their functions", check)

    def statement_for(self, cloud: Cloud, service: str) -> str:
        """What lets a service call the function."""
        policy = json.loads(cloud.client("lambda").get_policy(FunctionName="function")["Policy"])
        statement, = (statement for statement in policy["Statement"] if statement["Principal"] == {"Service": service})
        return statement["Sid"]

    def test_secure_transport(self):
        def check(cloud: Cloud):
            text = str(uuid.uuid4())
            cloud.client("sns").publish(TopicArn=cloud.outputs["TopicArn"], Message=text)
            sqs = cloud.client("sqs")
            url = f"http://127.0.0.1:{cloud.port}/{ACCOUNT}/inbox"
            received = self.assertAllowed(
                sqs.receive_message, QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=DEADLINE_S)
            self.assertIn(text, [message["Body"] for message in received.get("Messages", [])])

        self.verify("secure-transport", "takes local requests for secure ones", check)

    def test_batch_actions(self):
        def check(cloud: Cloud):
            self.assertAllowed(
                cloud.role_client("sns").publish_batch, TopicArn=cloud.outputs["TopicArn"],
                PublishBatchRequestEntries=[{"Id": "1", "Message": "one of a batch"}])

        self.verify("batch-actions", "asks for sns:Publish", check)

    def test_mapping_permissions(self):
        def check(cloud: Cloud):
            mapping = {"FunctionName": "function", "EventSourceArn": cloud.outputs["InboxArn"]}
            resources = {"Mapping": {"Type": "AWS::Lambda::EventSourceMapping", "Properties": mapping}}
            stack = cloud.create_stack("forbidden", json.dumps({"Resources": resources}))
            self.assertEqual(stack["StackStatus"], "ROLLBACK_COMPLETE")

        self.verify("mapping-permissions", "checks the role of a mapping", check)

    def test_polling_permissions(self):
        def check(cloud: Cloud):
            mappings = cloud.client("lambda").list_event_source_mappings()["EventSourceMappings"]
            queue, = (known["UUID"] for known in mappings if known["EventSourceArn"].endswith(":queue"))
            last_result = lambda: cloud.client("lambda").get_event_source_mapping(UUID=queue)["LastProcessingResult"]
            before = last_result()
            with cloud.role_without("sqs:ReceiveMessage"):
                url = f"http://127.0.0.1:{cloud.port}/{ACCOUNT}/queue"
                cloud.client("sqs").send_message(QueueUrl=url, MessageBody="one that waits")
                eventually(lambda: last_result() != before)
                self.assertIn("does not allow sqs:ReceiveMessage", last_result())
            eventually(lambda: last_result().startswith("OK"))

        self.verify("polling-permissions", "stops polling for a role that may not", check)

    def test_log_permissions(self):
        def check(cloud: Cloud):
            def lines():
                return len(cloud.client("logs").filter_log_events(logGroupName="/aws/lambda/function")["events"])

            cloud.echo()
            before = lines()
            self.assertGreater(before, 0)
            with cloud.role_without("logs:PutLogEvents"):
                cloud.echo()
                self.assertEqual(lines(), before)

        self.verify("log-permissions", "writes no log for a role that may not", check)

    def test_network_permissions(self):
        def check(cloud: Cloud):
            network = {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
            update = cloud.client("lambda").update_function_configuration
            self.assertAllowed(update, FunctionName="function", VpcConfig=network)
            function = {"Role": cloud.outputs["RoleArn"], "VpcConfig": network, "Code": {"ZipFile": "pass"}}
            template = {"Resources": {"Function": {"Type": "AWS::Lambda::Function", "Properties": function}}}
            with cloud.role_without("ec2:CreateNetworkInterface"):
                with self.assertRaisesRegex(botocore.exceptions.ClientError, "not allow ec2:CreateNetworkInterface"):
                    update(FunctionName="function", VpcConfig=network)
                stack = cloud.create_stack("networked", json.dumps(template))
                self.assertEqual(stack["StackStatus"], "ROLLBACK_COMPLETE")

        self.verify("network-permissions", "checks the role of a function in a VPC", check)

    def test_key_permissions(self):
        def check(cloud: Cloud):
            send, secrets = cloud.role_client("sqs").send_message, cloud.role_client("secretsmanager")
            read, write = secrets.get_secret_value, secrets.put_secret_value
            message = {"QueueUrl": f"http://127.0.0.1:{cloud.port}/{ACCOUNT}/locked", "MessageBody": "confidential"}
            secret = {"SecretId": cloud.outputs["SecretArn"]}
            written = {**secret, "SecretString": "confidential", "VersionStages": ["WRITTEN"]}
            put, get = cloud.role_client("s3").put_object, cloud.role_client("s3").get_object
            thing = {"Bucket": f"objects-{ACCOUNT}", "Key": "thing"}
            for needed, call, parameters in [
                    ("kms:GenerateDataKey", send, message), ("kms:Decrypt", send, message), ("kms:Decrypt", read, secret),
                    ("kms:GenerateDataKey", write, written), ("kms:Decrypt", write, written),
                    ("sqs.us-east-1.amazonaws.com", send, message),
                    ("secretsmanager.us-east-1.amazonaws.com", read, secret), (ACCOUNT, read, secret),
                    ("kms:GenerateDataKey", put, thing), ("kms:Decrypt", get, thing),
                    ("s3.us-east-1.amazonaws.com", get, thing)]:
                self.assertAllowed(call, **parameters)
                with cloud.key_without(needed):
                    with self.assertRaisesRegex(botocore.exceptions.ClientError, "not authorized to perform: kms:"):
                        call(**parameters)
            address = f"http://127.0.0.1:{cloud.port}/{thing['Bucket']}/{thing['Key']}"
            self.assertEqual(cloud.request(address).status, 403, "whoever is unknown may do nothing with the key")

        self.verify("key-permissions", "asks for permission to use the key of a queue, secret or bucket", check)

    def test_bucket_encryption(self):
        def check(cloud: Cloud):
            encryption = cloud.client("s3").get_bucket_encryption(Bucket=f"objects-{ACCOUNT}")
            rule, = encryption["ServerSideEncryptionConfiguration"]["Rules"]
            key = rule["ApplyServerSideEncryptionByDefault"].get("KMSMasterKeyID", "")
            self.assertRegex(key, f":key/{cloud.outputs['KeyId']}$")

        self.verify("bucket-encryption", "encrypts a bucket as the template says", check)

    def test_bucket_deletions(self):
        def check(cloud: Cloud):
            bucket = {"Type": "AWS::S3::Bucket", "Properties": {
                "BucketName": "full", "VersioningConfiguration": {"Status": "Enabled"}}}
            self.outputs_of(cloud, "full", {"Bucket": bucket}, {})
            s3 = cloud.client("s3")
            version = s3.put_object(Bucket="full", Key="thing")["VersionId"]
            marker = s3.delete_object(Bucket="full", Key="thing")["VersionId"]
            for left in [version, marker]:
                self.assertEqual(cloud.delete_stack("full")["StackStatus"], "DELETE_FAILED")
                s3.delete_object(Bucket="full", Key="thing", VersionId=left)
            self.assertEqual(cloud.delete_stack("full")["StackStatus"], "DELETE_COMPLETE")

        self.verify("bucket-deletions", "deletes no bucket that something is in", check)

    def test_absent_objects(self):
        def check(cloud: Cloud):
            absent = {"Bucket": f"objects-{ACCOUNT}", "Key": "absent"}
            for ask in [cloud.role_client("s3").get_object, cloud.role_client("s3").head_object]:
                with self.assertRaisesRegex(botocore.exceptions.ClientError, "NoSuchKey|404"):
                    ask(**absent)
                with cloud.role_without("s3:ListBucket"):
                    with self.assertRaisesRegex(botocore.exceptions.ClientError, "AccessDenied|403"):
                        self.assertRefused(ask, **absent)

        self.verify("absent-objects", "tells only who may list a bucket what is not in it", check)

    def test_version_deletions(self):
        def check(cloud: Cloud):
            thing = {"Bucket": f"objects-{ACCOUNT}", "Key": "versioned"}
            version = cloud.client("s3").put_object(**thing)["VersionId"]
            batch = {"Bucket": thing["Bucket"], "Delete": {"Objects": [{"Key": thing["Key"], "VersionId": version}]}}
            with cloud.role_without("s3:DeleteObjectVersion"):
                with self.assertRaisesRegex(botocore.exceptions.ClientError, "AccessDenied"):
                    cloud.role_client("s3").delete_objects(**batch)
            self.assertAllowed(cloud.role_client("s3").delete_objects, **batch)

        self.verify("version-deletions", "asks for permission to delete versions", check)

    def test_senders_keys(self):
        def check(cloud: Cloud):
            tell = cloud.client("s3").put_bucket_notification_configuration
            notifications = {"Bucket": f"objects-{ACCOUNT}", "NotificationConfiguration": {"QueueConfigurations": [
                {"QueueArn": f"arn:aws:sqs:us-east-1:{ACCOUNT}:locked", "Events": ["s3:ObjectCreated:*"]}]}}
            self.assertAllowed(tell, **notifications)
            for needed in ["kms:GenerateDataKey", "kms:Decrypt", ACCOUNT]:
                with cloud.key_without(needed):
                    with self.assertRaisesRegex(botocore.exceptions.ClientError, "Unable to validate"):
                        self.assertRefused(tell, **notifications)

        self.verify("senders-keys", "asks whether a sender may use the key of a queue", check)

    def assertAllowed(self, operation, **parameters):
        try:
            return operation(**parameters)
        except botocore.exceptions.ClientError as error:
            raise AssertionError(f"not allowed: {error}") from error

    def assertRefused(self, operation, **parameters):
        """Raises what it is refused with, and fails if it is not."""
        operation(**parameters)
        self.fail("allowed")

    def test_unsigned_headers(self):
        def check(cloud: Cloud):
            s3, kind = cloud.client("s3"), {"content-type": "image/png"}
            place = {"Bucket": f"code-{ACCOUNT}", "Key": str(uuid.uuid4()), "ContentType": "image/png"}
            address = s3.generate_presigned_url("put_object", Params=place | {"Metadata": {"signed": "a"}})
            signed = kind | {"x-amz-meta-signed": "a"}
            self.assertEqual(cloud.request(address, signed, b"x", "PUT").status, 200)
            for header in ["x-amz-meta-other", "x-amz-tagging", "x-amz-acl", "x-amz-storage-class"]:
                answer = cloud.request(address, signed | {header: "private"}, b"x", "PUT")
                self.assertEqual(answer.status, 403, header)
                self.assertIn(b"<Code>AccessDenied</Code>", answer.body)

        self.verify("unsigned-headers", "refuses headers of S3 that are not signed", check)

    def test_log_settings(self):
        def check(cloud: Cloud):
            environment = cloud.echo()["environment"]
            self.assertEqual(environment.get("AWS_LAMBDA_LOG_LEVEL"), "DEBUG")
            self.assertEqual(environment.get("AWS_LAMBDA_LOG_FORMAT"), "JSON")

        self.verify("log-settings", "tells functions their log settings", check)

    def test_function_properties(self):
        def check(cloud: Cloud):
            network = {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"]}
            function = {"FunctionName": "in-vpc", "Role": cloud.outputs["RoleArn"], "VpcConfig": network,
                        "Code": {"ZipFile": "pass"}, "Handler": "index.handler", "Runtime": "python3.12"}
            self.outputs_of(cloud, "vpc", {"Function": {"Type": "AWS::Lambda::Function", "Properties": function}}, {})
            shown = cloud.client("lambda").get_function_configuration(FunctionName="in-vpc")
            self.assertEqual(shown.get("VpcConfig", {}).get("SubnetIds"), ["subnet-1"])

        self.verify("function-properties", "remembers all of a function", check)

    def test_failed_starts(self):
        def check(cloud: Cloud):
            sqs, queue = cloud.client("sqs"), f"http://127.0.0.1:{cloud.port}/{ACCOUNT}/queue"
            may_end, no_start = cloud.folder / str(uuid.uuid4()), cloud.folder / "journal.no-start"
            sqs.send_message(QueueUrl=queue, MessageBody=f"wait for {may_end}")
            eventually(lambda: f"wait for {may_end}" in cloud.messages())
            no_start.touch()
            busy = [function["pid"] for function in cloud.instrument("GET", "functions") if function["busy"]]
            for idle in cloud.instrument("GET", "functions"):
                if idle["pid"] not in busy:
                    os.kill(idle["pid"], signal.SIGKILL)
            self.assertEqual(cloud.request("/api/users/me").status, 500)
            no_start.unlink()
            may_end.touch()
            self.assertEqual(cloud.request("/api/users/me").status, 200)

            def in_flight() -> str:
                counts = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=["All"])["Attributes"]
                return counts["ApproximateNumberOfMessagesNotVisible"]

            try:
                eventually(lambda: in_flight() == "0")
            finally:
                sqs.purge_queue(QueueUrl=queue)

        self.verify("failed-starts", "ends no other environment of a function", check)

    def test_stubs(self):
        def check(cloud: Cloud):
            resources = {
                "Address": {"Type": "AWS::EC2::EIP"},
                "Gateway": {"Type": "AWS::EC2::NatGateway", "Properties": {
                    "AllocationId": {"Fn::GetAtt": ["Address", "AllocationId"]}, "SubnetId": "subnet-1"}},
                "Provider": {"Type": "AWS::Lambda::CapacityProvider", "Properties": {"CapacityProviderName": "name"}},
                "Proxy": {"Type": "AWS::RDS::DBProxy", "Properties": {"DBProxyName": "name"}},
            }
            outputs = {"Gateway": {"Ref": "Gateway"}, "Provider": {"Fn::GetAtt": ["Provider", "Arn"]},
                       "Proxy": {"Fn::GetAtt": ["Proxy", "Endpoint"]}}
            outputs = self.outputs_of(cloud, "stubs", resources, outputs)
            self.assertRegex(outputs["Gateway"], r"\Anat-[0-9a-f]{17}\Z")
            self.assertEqual(outputs["Provider"], f"arn:aws:lambda:us-east-1:{ACCOUNT}:capacity-provider:name")
            self.assertRegex(outputs["Proxy"], r"\Aname\.proxy-[0-9a-f]{12}\.us-east-1\.rds\.amazonaws\.com\Z")

        self.verify("stubs", "knows every type of the template", check)

    def test_nested_stacks(self):
        def outer(cloud: Cloud, attribute: str, *topics: str) -> str:
            inner = {
                "Transform": "AWS::LanguageExtensions",
                "Parameters": {"Flag": {"Type": "String", "AllowedValues": ["true", "false"]}},
                "Resources": {
                    "Queue": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "inner"}},
                    "Kept": {"Type": "AWS::SNS::Topic", "DeletionPolicy": "Retain"},
                    **{topic: {"Type": "AWS::SNS::Topic", "Properties": {"TopicName": topic}} for topic in topics},
                },
                "Outputs": {
                    "Queue": {"Value": {"Fn::GetAtt": ["Queue", attribute]}},
                    "Kept": {"Value": {"Ref": "Kept"}},
                    "Topics": {"Value": {"Fn::Length": list(topics)}},
                },
            }
            return json.dumps({
                "Resources": {"Inner": {"Type": "AWS::CloudFormation::Stack", "Properties": {
                    "TemplateURL": cloud.upload(inner), "Parameters": {"Flag": True}}}},
                "Outputs": {name: {"Value": {"Fn::GetAtt": ["Inner", f"Outputs.{name}"]}} for name in inner["Outputs"]},
            })

        def outputs_of(stack: dict[str, Any]) -> dict[str, str]:
            return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

        def topics_of(cloud: Cloud) -> set[str]:
            return {topic["TopicArn"].rpartition(":")[2] for topic in cloud.client("sns").list_topics()["Topics"]}

        def check(cloud: Cloud):
            created = outputs_of(self.completed(cloud.create_stack("outer", outer(cloud, "Arn", "one", "two"))))
            self.assertEqual(created["Topics"], "2")
            # What an update leaves alone still has its attributes, and what it leaves out is gone.
            updated = outputs_of(self.completed(cloud.update_stack("outer", outer(cloud, "Arn", "two"))))
            self.assertEqual(updated["Queue"], f"arn:aws:sqs:us-east-1:{ACCOUNT}:inner")
            self.assertEqual(topics_of(cloud) & {"one", "two"}, {"two"})
            # An update that fails leaves everything as it was, and a creation that fails leaves nothing.
            for deploy, name in [(cloud.update_stack, "outer"), (cloud.create_stack, "other")]:
                failed = deploy(name, outer(cloud, "Weather", "three"))
                self.assertIn("ROLLBACK_COMPLETE", failed["StackStatus"])
                self.assertNotIn("three", topics_of(cloud))
            self.assertEqual(cloud.delete_stack("outer")["StackStatus"], "DELETE_COMPLETE")
            self.assertNotIn("two", topics_of(cloud))
            self.assertIn(created["Kept"].rpartition(":")[2], topics_of(cloud))

        self.verify("nested-stacks", "deploys nested stacks like others", check)

    def test_sam_parameters(self):
        def check(cloud: Cloud):
            function = {"Type": "AWS::Serverless::Function", "Properties": {
                "AutoPublishAlias": {"Ref": "Alias"}, "InlineCode": "pass", "Handler": "index.handler",
                "Runtime": "python3.12"}}
            template = {
                "Transform": "AWS::Serverless-2016-10-31", "Resources": {"Aliased": function},
                "Parameters": {"Alias": {"Type": "String", "Default": "default"}},
                "Outputs": {"Alias": {"Value": {"Ref": "Aliased.Alias"}}},
            }
            stack = self.completed(cloud.create_stack("sam", json.dumps(template), Alias="given"))
            self.assertRegex(stack["Outputs"][0]["OutputValue"], ":given$")

        self.verify("sam-parameters", "tells SAM the parameters", check)

    def test_metric_math(self):
        def check(cloud: Cloud):
            metric = {"Id": "m", "Expression": "m1 / 2"}
            alarm = {"AlarmName": "expression", "Metrics": [metric], "EvaluationPeriods": 1, "Threshold": 1,
                     "ComparisonOperator": "GreaterThanThreshold"}
            resources = {"Alarm": {"Type": "AWS::CloudWatch::Alarm", "Properties": alarm}}
            outputs = self.outputs_of(cloud, "math", resources, {"Alarm": {"Ref": "Alarm"}})
            self.assertEqual(outputs, {"Alarm": "expression"})
            cloud.client("cloudwatch").put_metric_data(
                Namespace="any", MetricData=[{"MetricName": "any", "Value": 9}])  # Which evaluates every alarm.
            alarm, = cloud.client("cloudwatch").describe_alarms(AlarmNames=["expression"])["MetricAlarms"]
            self.assertEqual(alarm["StateValue"], "INSUFFICIENT_DATA")

        self.verify("metric-math", "takes alarms on expressions", check)

    def test_managed_password(self):
        def check(cloud: Cloud):
            cluster = {"Engine": "aurora-postgresql", "MasterUsername": "me", "ManageMasterUserPassword": True}
            resources = {"Cluster": {"Type": "AWS::RDS::DBCluster", "DeletionPolicy": "Delete", "Properties": cluster}}
            outputs = {"Secret": {"Fn::GetAtt": ["Cluster", "MasterUserSecret.SecretArn"]}}
            arn = self.outputs_of(cloud, "database", resources, outputs)["Secret"]
            secrets = cloud.client("secretsmanager")
            self.assertEqual(json.loads(secrets.get_secret_value(SecretId=arn)["SecretString"])["username"], "me")
            self.assertEqual(cloud.delete_stack("database")["StackStatus"], "DELETE_COMPLETE")
            self.assertNotIn(arn, [secret["ARN"] for secret in secrets.list_secrets()["SecretList"]])

        self.verify("managed-password", "makes the secret of a cluster", check)

    def completed(self, stack: dict[str, Any]) -> dict[str, Any]:
        self.assertRegex(stack["StackStatus"], r"\A(CREATE|UPDATE)_COMPLETE\Z", stack.get("StackStatusReason"))
        return stack

    def outputs_of(self, cloud: Cloud, name: str, resources: dict[str, Any], outputs: dict[str, Any]) -> dict[str, str]:
        """The outputs of a new stack."""
        template = {"Resources": resources, "Outputs": {key: {"Value": value} for key, value in outputs.items()}}
        try:
            stack = cloud.create_stack(name, json.dumps(template))
        except botocore.exceptions.ClientError as error:
            raise AssertionError(f"refused: {error}") from error
        self.completed(stack)
        return {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}

    def test_every_stub_is_needed_and_documented(self):
        root = LAUNCHER.parent.parent
        document = (root / "docs" / "INFRASTRUCTURE.md").read_text()
        for resource_type in STUBS:
            self.assertIn(f"`{resource_type}`", document, f"docs/INFRASTRUCTURE.md does not name {resource_type}")
        templates = "".join(path.read_text() for path in [root / "template.yaml", *root.glob("stacks/*.yaml")])
        for resource_type in STUBS.keys() - MADE_BY_SAM:
            self.assertIn(f"Type: {resource_type}\n", templates, f"nothing needs a stub of {resource_type}")

    def test_every_correction_is_verified(self):
        for name in CORRECTIONS:
            self.assertTrue(hasattr(self, f"test_{name.replace('-', '_')}"), f"no test of {name}")


class Launcher(unittest.TestCase):
    def test_functions_see_nothing_of_the_machine_and_end_with_the_cloud(self):
        with Cloud() as cloud:
            environment = cloud.echo()["environment"]
            self.assertNotIn("STRAY", environment)
            self.assertEqual(environment["AWS_ENDPOINT_URL"], f"http://127.0.0.1:{cloud.port}")
            self.assertTrue(environment["AWS_ACCESS_KEY_ID"].startswith("ASIA"), "the role's own credentials")
            runtime_port = int(environment["AWS_LAMBDA_RUNTIME_API"].rpartition(":")[2])
            function = processes_with(f"AWS_LAMBDA_RUNTIME_API=127.0.0.1:{runtime_port}")
            self.assertEqual(len(function), 1)
            cloud.process.send_signal(signal.SIGTERM)
            cloud.process.wait(DEADLINE_S)
            eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in function))

    def test_a_function_may_do_what_its_role_allows_and_nothing_else(self):
        with Cloud() as cloud:
            cloud.role_client("sns").publish(TopicArn=cloud.outputs["TopicArn"], Message="allowed")
            with self.assertRaisesRegex(botocore.exceptions.ClientError, "not authorized to perform: dynamodb:Scan"):
                cloud.role_client("dynamodb").scan(TableName="table")

    def test_references_to_caches_and_databases_give_the_servers_that_there_are(self):
        resources = {
            "Cache": {"Type": "AWS::ElastiCache::ReplicationGroup", "Properties": {
                "ReplicationGroupDescription": "cache", "NumCacheClusters": 2, "CacheNodeType": "cache.t4g.micro"}},
            "Cluster": {"Type": "AWS::RDS::DBCluster", "DeletionPolicy": "Delete", "Properties": {
                "Engine": "aurora-postgresql", "MasterUsername": "me", "ManageMasterUserPassword": True}},
            "Proxy": {"Type": "AWS::RDS::DBProxy", "Properties": {"DBProxyName": "proxy"}},
        }
        outputs = {
            "Cache": {"Fn::Sub": "${Cache.PrimaryEndPoint.Address}:${Cache.PrimaryEndPoint.Port}"},
            "Cluster": {"Fn::Sub": "${Cluster.Endpoint.Address}:${Cluster.Endpoint.Port}"},
            "Proxy": {"Fn::GetAtt": ["Proxy", "Endpoint"]},
        }
        template = {"Resources": resources, "Outputs": {key: {"Value": value} for key, value in outputs.items()}}
        options = ["--cache", "redis.test:6380", "--database", "postgres.test:5433", "--roots", "roots.pem"]
        with Cloud("", *options) as cloud:
            stack = cloud.create_stack("servers", json.dumps(template))
            self.assertEqual(stack["StackStatus"], "CREATE_COMPLETE", stack.get("StackStatusReason"))
            given = {output["OutputKey"]: output["OutputValue"] for output in stack["Outputs"]}
            expected = {"Cache": "redis.test:6380", "Cluster": "postgres.test:5433", "Proxy": "postgres.test"}
            self.assertEqual(given, expected)
            self.assertEqual(cloud.echo()["environment"]["SSL_CERT_FILE"], str(Path("roots.pem").absolute()))
        with Cloud() as cloud:
            self.assertNotIn("SSL_CERT_FILE", cloud.echo()["environment"])

    def test_an_unknown_correction_is_refused(self):
        outcome = launch(free_port(), LOCAL_CLOUD_WITHOUT="weather")
        self.assertNotEqual(outcome.returncode, 0)
        self.assertIn("unknown correction weather", outcome.stderr)

    def test_a_taken_port_is_refused(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            outcome = launch(taken.getsockname()[1])
        self.assertNotEqual(outcome.returncode, 0)
        self.assertIn("already in use", outcome.stdout)


def launch(port: int, **environment: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, LAUNCHER, "--port", str(port)], env={**os.environ, **environment},
        capture_output=True, text=True, timeout=20)


def processes_with(variable: str) -> list[int]:
    """The processes with this setting in their environment."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if variable.encode() in (folder / "environ").read_bytes().split(b"\0"):
                found.append(int(folder.name))
        except OSError:
            continue  # Another user's, or already gone.
    return found


def timed(action) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


if __name__ == "__main__":
    unittest.main()

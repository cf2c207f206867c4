"""What a restart of the local cloud keeps."""

import tempfile
import unittest
from pathlib import Path

from cloud_for_tests import ACCOUNT, TEMPLATE, Cloud, eventually


class Restart(unittest.TestCase):
    cloud: Cloud

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="local-cloud-state-")
        cls.addClassCleanup(folder.cleanup)
        cls.cloud = Cloud("", "--state", str(Path(folder.name) / "state"))
        cls.addClassCleanup(cls.cloud.close)

    def queue(self, name: str) -> str:
        return f"http://127.0.0.1:{self.cloud.port}/{ACCOUNT}/{name}"

    def got(self, body: str) -> int:
        return self.cloud.messages().count(body)

    def test_messages_wait_on(self):
        may_end, sqs = self.cloud.folder / "may-end", self.cloud.client("sqs")
        held = f"wait for {may_end}"
        sqs.send_message(QueueUrl=self.queue("queue"), MessageBody="delayed", DelaySeconds=600)
        sqs.send_message(QueueUrl=self.queue("queue"), MessageBody=held)
        eventually(lambda: self.got(held))
        sqs.send_message(QueueUrl=self.queue("locked"), MessageBody="received")
        received, = sqs.receive_message(QueueUrl=self.queue("locked"), VisibilityTimeout=600)["Messages"]

        for restarts in [1, 2]:
            self.cloud.restart()
            counts = sqs.get_queue_attributes(QueueUrl=self.queue("queue"), AttributeNames=["All"])["Attributes"]
            self.assertEqual(counts["ApproximateNumberOfMessagesDelayed"], "1", restarts)
            self.assertEqual(counts["ApproximateNumberOfMessagesNotVisible"], "1", restarts)
        self.assertEqual((self.got("delayed"), self.got(held)), (0, 1))

        sqs.delete_message(QueueUrl=self.queue("locked"), ReceiptHandle=received["ReceiptHandle"])
        may_end.touch()
        self.assertEqual(self.cloud.instrument("POST", "hasten"), {"hastened": 2})
        eventually(lambda: (self.got("delayed"), self.got(held)) == (1, 2))

    def test_streams_go_on_where_they_were(self):
        before = self.cloud.put_rows({}, {})
        eventually(lambda: self.cloud.batches_with(before))
        with self.cloud.paused_mapping("dynamodb"):
            unread = self.cloud.put_rows({}, {"report": {"BOOL": True}})
            self.cloud.restart()
        eventually(lambda: len(self.cloud.batches_with(unread)) == 3)
        self.assertEqual(self.cloud.batches_with(unread), [unread, unread[1:], unread[1:]])
        self.assertEqual(self.cloud.batches_with(before), [before])

        # Tries of before count: the second one is the last.
        given_up = self.cloud.put_rows({"raise": {"BOOL": True}})
        eventually(lambda: self.cloud.batches_with(given_up))
        self.cloud.restart()
        eventually(lambda: len(self.cloud.batches_with(given_up)) == 2, deadline_s=10)
        # Written only now: a row that was there at the second try would have joined its batch.
        after = self.cloud.put_rows({})
        eventually(lambda: [after[0]] in self.cloud.batches_with(after), deadline_s=10)
        self.assertEqual(self.cloud.batches_with(given_up), [given_up] * 2)

    def test_what_was_deployed_and_stored_is_there(self):
        bucket = {"Bucket": f"objects-{ACCOUNT}", "Key": "thing"}
        version = self.cloud.client("s3").put_object(**bucket, Body=b"kept")["VersionId"]
        self.cloud.client("dynamodb").put_item(TableName="table", Item={"id": {"S": "kept"}})
        secret = self.cloud.client("secretsmanager").get_secret_value(SecretId="secret")["SecretString"]
        self.cloud.instrument("PUT", "faults", {"duplicate": 1, "delay_seconds": 0})
        self.cloud.client("sqs").send_message(QueueUrl=self.queue("queue"), MessageBody="twice")
        eventually(lambda: self.got("twice") == 2)
        lines = self.lines()
        functions = [function["pid"] for function in self.cloud.instrument("GET", "functions")]
        self.assertTrue(functions)

        self.cloud.restart()
        self.assertEqual([pid for pid in functions if Path(f"/proc/{pid}").exists()], [])
        self.assertIsNone(self.cloud.process.poll(), "the process is the same")
        self.assertEqual(self.cloud.instrument("GET", "faults")["duplicated"], 1)
        self.cloud.instrument("PUT", "faults", {"seed": 0})
        self.assertGreaterEqual(set(self.lines()), set(lines))
        shown = self.cloud.client("secretsmanager").get_secret_value(SecretId="secret")["SecretString"]
        self.assertEqual(shown, secret)
        self.assertEqual(self.cloud.client("s3").get_object(**bucket)["VersionId"], version)
        kept = self.cloud.client("dynamodb").get_item(TableName="table", Key={"id": {"S": "kept"}})
        self.assertIn("Item", kept)
        # The API finds its function, that calls as its role, and the topic its subscriber.
        self.cloud.role_client("sns").publish(TopicArn=self.cloud.outputs["TopicArn"], Message="hello")
        inbox = self.cloud.client("sqs").receive_message(QueueUrl=self.queue("inbox"), WaitTimeSeconds=5)
        self.assertEqual([message["Body"] for message in inbox.get("Messages", [])], ["hello"])
        template = TEMPLATE.read_text().replace("Outputs:", "  New: {Type: AWS::SNS::Topic}\nOutputs:")
        updated = self.cloud.update_stack(
            "test", template, CodeBucket=f"code-{ACCOUNT}", Journal=str(self.cloud.journal))
        self.assertEqual(updated["StackStatus"], "UPDATE_COMPLETE")

    def lines(self) -> list[str]:
        events = self.cloud.client("logs").filter_log_events(logGroupName="/aws/lambda/function")["events"]
        return [event["message"] for event in events]


if __name__ == "__main__":
    unittest.main()

"""Buckets, and the objects in them."""

from xml.etree import ElementTree

from ministack import app
from ministack.core import iam_actions, iam_evaluator
from ministack.core.responses import get_account_id, get_region
from ministack.services import kms, s3, sqs
from ministack.services.cloudformation import provisioners


def bucket_encryption() -> None:
    """Upstream leaves out what a template says of a bucket's encryption."""
    configuration = ("BucketEncryption", _encryption_xml, s3._put_bucket_encryption, s3._delete_bucket_encryption)
    provisioners._S3_BUCKET_CONFIGURATIONS += (configuration,)


def _encryption_xml(encryption: dict) -> bytes:
    root = ElementTree.Element("ServerSideEncryptionConfiguration", xmlns=s3.S3_NS)
    for rule in encryption["ServerSideEncryptionConfiguration"]:
        element = ElementTree.SubElement(root, "Rule")
        default = ElementTree.SubElement(element, "ApplyServerSideEncryptionByDefault")
        for name, value in rule["ServerSideEncryptionByDefault"].items():
            ElementTree.SubElement(default, name).text = value
        ElementTree.SubElement(element, "BucketKeyEnabled").text = str(rule.get("BucketKeyEnabled", False)).lower()
    return ElementTree.tostring(root)


def bucket_deletions() -> None:
    """Upstream deletes a stack's bucket with all that is in it; on AWS a bucket can only be deleted when it is empty, of
    versions and delete markers, too."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::S3::Bucket"]
    delete_bucket = handlers["delete"]

    def delete(name, properties):
        bucket = s3._buckets.get(name)
        if bucket and (bucket["objects"] or s3._bucket_has_versions(name)):
            raise ValueError(f"The bucket {name} is not empty: all versions in it have to be deleted first")
        return delete_bucket(name, properties)

    handlers["delete"] = delete


def absent_objects() -> None:
    """Upstream tells everybody that an object is not there; AWS tells those who may list the bucket, and refuses
    others as if it were there."""
    get_object, head_object = s3._get_object, s3._head_object

    def get(bucket, key, headers, query_params=None):
        return _told(get_object(bucket, key, headers, query_params), bucket, key, headers, query_params)

    def head(bucket, key, headers=None, query_params=None):
        return _told(head_object(bucket, key, headers, query_params), bucket, key, headers, query_params)

    s3._get_object, s3._head_object = get, head


def _told(answer: tuple, bucket: str, key: str, headers: dict | None, query_params: dict | None) -> tuple:
    if not app.AUTH or answer[0] != 404 or bucket not in s3._buckets:
        return answer
    caller = app.extract_access_key_id(headers or {}, query_params or {})
    refused = iam_evaluator.enforce(caller, "s3:ListBucket", "s3", get_region(), f"arn:aws:s3:::{bucket}")
    who = getattr(refused, "principal_arn", "nobody")
    message = f"User: {who} is not authorized to perform: s3:ListBucket on resource: arn:aws:s3:::{bucket}"
    return s3._error("AccessDenied", message, 403, f"/{bucket}/{key}") if refused else answer


def version_deletions() -> None:
    """Upstream asks for `s3:DeleteObject` on the first object of a batch whether it names a version or not; AWS asks
    for `s3:DeleteObjectVersion` where one is named, as for all further ones."""
    extract_action = iam_actions.extract_iam_action

    def extract(service, method, path, headers, body, query_params, *more):
        action = extract_action(service, method, path, headers, body, query_params, *more)
        if action == "s3:DeleteObject" and method == "POST":
            (_, version), *_ = iam_actions._s3_batch_delete_targets(path.strip("/"), body) or [("", "")]
            return "s3:DeleteObjectVersion" if version else action
        return action

    iam_actions.extract_iam_action = extract


def senders_keys() -> None:
    """Upstream lets S3 and SNS send to a queue whose policy allows it, whatever key the queue is encrypted under; AWS
    asks the key's policy, too, and takes no bucket's notifications otherwise."""
    policy_allows = sqs.queue_policy_allows

    def allows(queue_arn, service, source_arn, source_account):
        if not policy_allows(queue_arn, service, source_arn, source_account):
            return False
        key = kms._resolve_key((sqs._queue_by_arn(queue_arn) or {}).get("attributes", {}).get("KmsMasterKeyId"))
        return key is None or not app.AUTH or all(
            _key_allows(key, action, service, source_arn, source_account)
            for action in ["kms:Decrypt", "kms:GenerateDataKey"])

    sqs.queue_policy_allows = allows


def _key_allows(key: dict, action: str, service: str, source_arn: str, source_account: str) -> bool:
    context = iam_evaluator.EvalContext(
        principal_arn="*", principal_type="Service", principal_account="", action=action, resource_arn=key["Arn"],
        region=get_region(), service_context={"aws:sourcearn": source_arn,
                                              "aws:sourceaccount": source_account or get_account_id()})
    return iam_evaluator.evaluate_resource_policy(key["Policy"], context, service=service).decision == "Allow"

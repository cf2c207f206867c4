"""Versions of a secret, and how the next one takes the place of the present one."""

import json
import threading
import time
from collections.abc import Callable
from typing import Any

from ministack import app
from ministack.core.responses import (
    error_response_json,
    get_account_id,
    get_region,
    json_response,
    new_uuid,
    request_scope,
)
from ministack.services import lambda_svc, secretsmanager
from ministack.services.cloudformation import provisioners

from .invocations import may_invoke

PRINCIPAL = "secretsmanager.amazonaws.com"
STEPS = ["createSecret", "setSecret", "testSecret", "finishSecret"]
VALUES = {"SecretString", "SecretBinary"}


def secret_versions() -> None:
    """Upstream lets a version change its value and several versions have one stage, and reads versions without a value;
    on AWS a version keeps the value that it got, a stage moves, and without a value there is nothing to read."""
    get_value, put_value = secretsmanager._get_secret_value, secretsmanager._put_secret_value

    def get(data):
        answer = get_value(data)
        status, _, body = answer
        if status == 200 and not VALUES & json.loads(body).keys():
            return error_response_json(
                "ResourceNotFoundException", "Secrets Manager can't find the specified secret value.", 400)
        return answer

    def put(data):
        token = data.setdefault("ClientRequestToken", new_uuid())
        _, secret = secretsmanager._resolve(data.get("SecretId"))
        version = secret["Versions"].get(token, {}) if secret else {}
        if any(version.get(value) is not None for value in VALUES):
            if any(version.get(value) != data.get(value) for value in VALUES):
                return error_response_json(
                    "ResourceExistsException",
                    f"You can't modify the existing version {token}: it has another value.", 400)
            return json_response({"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token,
                                  "VersionStages": version["Stages"]})
        answer = put_value(data)
        if answer[0] == 200:
            for stage in data.get("VersionStages", []):
                secretsmanager._remove_stage_everywhere(secret, stage, except_version_id=token)
        return answer

    secretsmanager._get_secret_value, secretsmanager._put_secret_value = get, put


def secret_rotation() -> None:
    """Upstream's `RotateSecret` makes a copy of the current value the next version and calls nobody, and it does not know
    `AWS::SecretsManager::RotationSchedule`. AWS announces a version without a value and has the rotation function go
    through its steps, until one fails; a schedule that does not rotate at once has one of them tried. Nothing here
    rotates when its time has come."""
    secretsmanager._rotate_secret = _rotate
    provisioners._RESOURCE_HANDLERS["AWS::SecretsManager::RotationSchedule"] = {
        "create": _schedule, "update": _reschedule, "delete": _unschedule}


def _rotate(data: dict[str, Any]) -> tuple:
    _, secret = secretsmanager._resolve(data.get("SecretId"))
    if not secret or secret.get("DeletedDate"):
        return error_response_json(
            "ResourceNotFoundException", "Secrets Manager can't find the specified secret.", 400)
    function = data.get("RotationLambdaARN") or secret.get("RotationLambdaARN")
    if not function:
        return error_response_json(
            "InvalidRequestException", "No Lambda rotation function ARN is associated with this secret.", 400)
    if app.AUTH and not may_invoke(PRINCIPAL, function, secret["ARN"]):
        return error_response_json(
            "AccessDeniedException",
            "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants "
            f"access to the principal {PRINCIPAL}.", 400)
    secret.update(RotationEnabled=True, RotationLambdaARN=function,
                  RotationRules=data.get("RotationRules") or secret.get("RotationRules"))

    at_once = data.get("RotateImmediately", True)
    pending, _ = secretsmanager._find_stage_version(secret, "AWSPENDING")
    current, _ = secretsmanager._find_stage_version(secret, "AWSCURRENT")
    if at_once and pending not in (None, current):
        _call(secret, pending, STEPS)
        return error_response_json(
            "InvalidRequestException",
            "A previous rotation isn't complete. That rotation will be reattempted.", 400)
    token = data.get("ClientRequestToken") or new_uuid()
    answer = {"ARN": secret["ARN"], "Name": secret["Name"]}
    if pending not in (None, current):
        return json_response(answer)
    secretsmanager._remove_stage_everywhere(secret, "AWSPENDING")
    secret["Versions"][token] = {
        "SecretString": None, "SecretBinary": None, "CreatedDate": int(time.time()), "Stages": ["AWSPENDING"]}
    if not at_once:
        _call(secret, token, ["testSecret"], lambda: secret["Versions"].pop(token))
        return json_response(answer)
    _call(secret, token, STEPS)
    return json_response({**answer, "VersionId": token})


def _call(secret: dict[str, Any], token: str, steps: list[str], afterwards: Callable[[], Any] = lambda: None) -> None:
    """Have the function take these steps, while the caller goes on."""
    name, qualifier = lambda_svc._resolve_name_and_qualifier(secret["RotationLambdaARN"])
    function, _ = lambda_svc._get_func_record_for_qualifier(name, qualifier)
    account, region = get_account_id(), get_region()

    def take() -> None:
        with request_scope(account, region):
            for step in steps:
                event = {"Step": step, "SecretId": secret["ARN"], "ClientRequestToken": token}
                if lambda_svc._execute_function(function, event).get("error"):
                    break
            afterwards()

    threading.Thread(target=take, daemon=True, name="secret-rotation").start()


def _schedule(logical_id: str, properties: dict[str, Any], stack_name: str) -> tuple[str, dict[str, str]]:
    given = {name: properties[name] for name in ["RotationLambdaARN", "RotationRules"] if name in properties}
    if days := properties.get("RotationRules", {}).get("AutomaticallyAfterDays"):
        given["RotationRules"] = {**given["RotationRules"], "AutomaticallyAfterDays": int(days)}
    at_once = provisioners._cfn_bool(properties.get("RotateImmediatelyOnUpdate", True))
    status, _, body = _rotate({"SecretId": properties["SecretId"], "RotateImmediately": at_once, **given})
    if status >= 400:
        raise ValueError(f"{logical_id}: {body!r}")
    arn = json.loads(body)["ARN"]
    return arn, {"Id": arn}


def _reschedule(_arn, _old, new, stack_name, logical_id=None):
    return _schedule(logical_id, new, stack_name)


def _unschedule(arn: str, _properties: dict[str, Any]) -> None:
    _, secret = secretsmanager._resolve(arn)
    if secret:
        secret["RotationEnabled"] = False

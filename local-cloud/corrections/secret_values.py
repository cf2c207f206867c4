"""Secrets of a template."""

import json
from typing import Any

from ministack.services import secretsmanager
from ministack.services.cloudformation import provisioners


def secret_generator() -> None:
    """Upstream's `GenerateSecretString` knows `ExcludeCharacters` alone: with `ExcludePunctuation` and the other
    `Exclude...` options the value still has the excluded characters."""
    provisioners._sm_secret_string = _secret_string


def _secret_string(properties: dict[str, Any]) -> str:
    options = properties.get("GenerateSecretString")
    if options is None:
        return properties.get("SecretString", "")
    status, _, body = secretsmanager._get_random_password(options)
    if status >= 400:
        raise ValueError(f"GenerateSecretString: {body!r}")
    password = json.loads(body)["RandomPassword"]
    if "GenerateStringKey" not in options:
        return password
    return json.dumps({**json.loads(options["SecretStringTemplate"]), options["GenerateStringKey"]: password})


def secret_ref() -> None:
    """Upstream's `Ref` of a secret is its name; on AWS it is the ARN, and a policy that allows the `Ref` as a
    resource allows nothing here."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::SecretsManager::Secret"]
    create_secret, update_secret, delete_secret = handlers["create"], handlers["update"], handlers["delete"]

    def create(logical_id, properties, stack_name):
        _, attributes = create_secret(logical_id, properties, stack_name)
        return attributes["Arn"], attributes

    def update(arn, old, new, stack_name, logical_id=None):
        _, attributes = update_secret(_name(arn), old, new, stack_name, logical_id)
        return attributes["Arn"], attributes

    def delete(arn, properties):
        delete_secret(_name(arn), properties)

    handlers.update(create=create, update=update, delete=delete)


def _name(arn: str) -> str:
    name, _ = secretsmanager._resolve(arn)
    return name or arn

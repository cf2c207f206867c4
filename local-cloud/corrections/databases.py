"""Databases."""

import json
import secrets

from ministack.core.responses import new_uuid
from ministack.services import rds, secretsmanager
from ministack.services.cloudformation import provisioners


def managed_password() -> None:
    """Upstream makes no secret for a cluster with `ManageMasterUserPassword`; RDS does, and `Fn::GetAtt` gives its ARN
    as `MasterUserSecret.SecretArn`."""
    handlers = provisioners._RESOURCE_HANDLERS["AWS::RDS::DBCluster"]
    create_cluster, delete_cluster = handlers["create"], handlers["delete"]
    attributes_of = provisioners._rds_db_cluster_attrs

    def attributes(cluster):
        secret = cluster.get("MasterUserSecret")
        managed = {"MasterUserSecret.SecretArn": secret["SecretArn"]} if secret else {}
        return {**attributes_of(cluster), **managed}

    def create(logical_id, properties, stack_name):
        cluster_id, _ = create_cluster(logical_id, properties, stack_name)
        cluster = rds._clusters[cluster_id]
        if provisioners._cfn_bool(properties.get("ManageMasterUserPassword")):
            user = {"username": properties["MasterUsername"], "password": secrets.token_urlsafe(24)}
            arn = secretsmanager.create_secret_in_process(f"rds!cluster-{new_uuid()}", json.dumps(user))
            cluster["MasterUserSecret"] = {"SecretArn": arn, "SecretStatus": "active"}
        return cluster_id, provisioners._rds_db_cluster_attrs(cluster)

    def delete(cluster_id, properties):
        secret = rds._clusters[cluster_id].get("MasterUserSecret")
        delete_cluster(cluster_id, properties)
        if secret:
            secretsmanager.delete_secret_in_process(secret["SecretArn"])

    provisioners._rds_db_cluster_attrs = attributes
    handlers.update(create=create, delete=delete)

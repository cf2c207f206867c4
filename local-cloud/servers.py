"""Real servers in the place of what the emulator only records.

ElastiCache and RDS keep a record of each cache and database, at addresses where nobody answers. With `--cache` and
`--database` the references to them give the address of a Redis and a PostgreSQL on this machine instead, and with
`--roots` every function trusts their certificates. Nothing here talks to them, so that they need not run yet: who runs
them gives them the passwords that are in the stack's secrets.
"""

from ministack.services import elasticache
from ministack.services.cloudformation import provisioners


def cache_at(host: str, port: int) -> None:
    """Every node of a cache is at this address."""
    elasticache.REDIS_DEFAULT_HOST, elasticache.REDIS_DEFAULT_PORT = host, port


def database_at(host: str, port: int) -> None:
    """Every cluster, and every proxy before one, is at this address."""
    attributes_of = provisioners._rds_db_cluster_attrs
    provisioners._rds_db_cluster_attrs = lambda cluster: {
        **attributes_of(cluster), "Endpoint.Address": host, "Endpoint.Port": str(port), "ReadEndpoint.Address": host}

    proxies = provisioners._RESOURCE_HANDLERS["AWS::RDS::DBProxy"]
    proxies.update({action: _at(host, proxies[action]) for action in ["create", "update"]})


def _at(host: str, handler):
    def handle(*arguments):
        name, attributes = handler(*arguments)
        return name, {**attributes, "Endpoint": host}

    return handle

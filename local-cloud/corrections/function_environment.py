"""Environment variables of a function."""

from ministack.services import lambda_svc


def log_settings() -> None:
    """Upstream does not tell a function the log format and level of its `LoggingConfig`; AWS does, in
    `AWS_LAMBDA_LOG_FORMAT` and `AWS_LAMBDA_LOG_LEVEL`."""
    environment_of = lambda_svc._provided_worker_env

    def environment(config, code_dir, port):
        variables = environment_of(config, code_dir, port)
        logging = config.get("LoggingConfig") or {}
        if logging.get("LogFormat") == "JSON":
            variables["AWS_LAMBDA_LOG_FORMAT"] = "JSON"
            variables["AWS_LAMBDA_LOG_LEVEL"] = logging.get("ApplicationLogLevel", "INFO")
        return variables

    lambda_svc._provided_worker_env = environment

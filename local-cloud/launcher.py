"""The local AWS cloud: MiniStack with the corrections that this project's template needs.

    python launcher.py --port 4566          # Ctrl-C or SIGTERM stops it and every function process
    python launcher.py --port 4566 --auth   # role policies and resource policies are enforced

    python launcher.py --cache localhost:6380 --database localhost:5433 --roots roots.pem   # a real Redis and PostgreSQL

With `--auth` a function calls AWS as its role, and with nothing but its role's permissions. The key `test`, like
every account's 12-digit key, is the account's owner and may do everything that no policy denies.

The cloud listens on 127.0.0.1 and answers on http://127.0.0.1:<port>/_ministack/health once it is
ready. Every correction of an upstream behaviour is a function of its own in `corrections/`; the environment
variable `LOCAL_CLOUD_WITHOUT=name,name` leaves single ones out. What tests do to it is in `instruments.py`, how it comes
to real servers in `servers.py`. State lives in memory and ends with the process, unless `--state` gives it a folder.
"""

import argparse
import os
import signal
import socket
import sys
from pathlib import Path

# What the emulator and the native functions need of the machine. Function processes inherit the emulator's
# whole environment, and on AWS they would see none of the developer's.
INHERITED = ("PATH", "HOME", "TMPDIR", "LANG")


def main() -> None:
    options = _options()
    without = os.environ.get("LOCAL_CLOUD_WITHOUT", "")
    command = [sys.executable, *sys.argv]
    if options.state:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # Until there is something to restart.
    _set_environment(options)

    # Imported only now, because MiniStack reads its settings from the environment while it is imported.
    import corrections
    import instruments
    import servers
    import state
    from ministack import app
    from ministack.core import lambda_runtime

    try:
        corrections.apply(name for name in without.split(",") if name)
    except ValueError as error:
        sys.exit(f"local cloud: {error}")
    if options.cache:
        servers.cache_at(*options.cache)
    if options.database:
        servers.database_at(*options.database)
    instruments.install()

    def restart() -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        sys.stdout.flush()
        os.closerange(3, 1 << 16)  # The listener among them, which would live on.
        _reserve(options.port)
        os.execve(sys.executable, command, os.environ | {"LOCAL_CLOUD_WITHOUT": without})

    kept = state.State(options.state, restart) if options.state else None
    if kept:
        kept.install()
    sys.argv = sys.argv[:1]  # MiniStack has options of its own.
    try:
        app.main()
    finally:
        lambda_runtime.reset()
        if kept:
            kept.close()


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="The local AWS cloud: MiniStack with corrections.")
    parser.add_argument("--port", type=int, default=4566, help="port on 127.0.0.1 (default: 4566)")
    parser.add_argument("--auth", action="store_true", help="enforce role and resource policies")
    parser.add_argument(
        "--function-endpoint", metavar="URL",
        help="where functions find AWS, for a proxy between them and the cloud (default: the cloud)")
    parser.add_argument(
        "--state", metavar="FOLDER", type=Path,
        help="keep the state in this folder; SIGHUP restarts the cloud with it (default: it ends with the process)")
    parser.add_argument(
        "--cache", metavar="HOST:PORT", type=_address,
        help="where caches are: a Redis with TLS (default: nowhere, they are only recorded)")
    parser.add_argument(
        "--database", metavar="HOST:PORT", type=_address,
        help="where database clusters and their proxies are: a PostgreSQL with TLS (default: nowhere)")
    parser.add_argument(
        "--roots", metavar="FILE", type=Path,
        help="the certificates that functions trust, PEM; it may come later than the cloud (default: AWS's)")
    return parser.parse_args()


def _address(text: str) -> tuple[str, int]:
    host, port = text.rsplit(":", 1)
    return host, int(port)


def _reserve(port: int) -> None:
    """Keep the port from being given to somebody's connection until this process listens again."""
    holder = socket.socket()
    holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    holder.bind(("127.0.0.1", port))
    os.set_inheritable(holder.detach(), True)


def _set_environment(options: argparse.Namespace) -> None:
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    os.environ.clear()
    os.environ.update(
        inherited,
        GATEWAY_PORT=str(options.port),
        BIND_HOST="127.0.0.1",
        AUTH=str(options.auth).lower(),
        # Functions get the endpoint, the region and (without --auth) the keys from here.
        AWS_ENDPOINT_URL=options.function_endpoint or f"http://127.0.0.1:{options.port}",
        AWS_DEFAULT_REGION="us-east-1",
        AWS_ACCESS_KEY_ID="test",
        AWS_SECRET_ACCESS_KEY="test",
        # Listeners on further ports, for services that are not used.
        IOT_MTLS_ENABLED="0",
        SFTP_ENABLED="0",
    )
    if options.roots:
        os.environ["SSL_CERT_FILE"] = str(options.roots.absolute())


if __name__ == "__main__":
    main()

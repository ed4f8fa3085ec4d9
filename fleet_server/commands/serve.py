"""`eyelet-fleet serve`: run the server until it is told to stop."""

import asyncio
import logging
from pathlib import Path

import click


@click.command(name="serve")
@click.option(
    "--data",
    required=True,
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder for database, artifacts, keys; created if absent.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; others than loopback need TLS.")
@click.option(
    "--port", default=8470, show_default=True, type=click.IntRange(0, 65535), help="HTTP port; 0: that of the last start, or a free one."
)
@click.option("--mqtt-port", default=8471, show_default=True, type=click.IntRange(0, 65535), help="MQTT port; 0 as for --port.")
@click.option("--broker", default="embedded", show_default=True, help="embedded, mosquitto, or mqtt://user:password@host:port.")
@click.option("--fleet", default="", help="Name of the fleet, fixed at the first start.  [default: main]")
@click.option("--tls-cert", type=click.Path(path_type=Path, dir_okay=False), help="Certificate chain (PEM).")
@click.option("--tls-key", type=click.Path(path_type=Path, dir_okay=False), help="Its private key (PEM).")
@click.option("--public-host", default="", help="Name by which devices reach this machine.")
@click.option("--samples-mib", default=10_240, show_default=True, type=click.IntRange(0), help="Field samples kept in all, in MiB.")
@click.option("--device-samples-mib", default=1024, show_default=True, type=click.IntRange(0), help="Field samples kept of one device.")
@click.option("--samples-days", default=90, show_default=True, type=click.IntRange(1), help="Days that a field sample is kept.")
@click.option("-v", "--verbose", is_flag=True, help="Log more.")
def serve_command(data: Path, samples_mib: int, device_samples_mib: int, samples_days: int, verbose: bool, **options: object) -> None:
    """Run the fleet server until SIGTERM or Ctrl-C."""
    from contract.errors import ContractError
    from fleet_server.broker.settings import BrokerError
    from fleet_server.errors import FleetError
    from fleet_server.samples.intake import SampleLimits
    from fleet_server.serving import ServeSettings, serve

    set_up_logs(verbose=verbose)
    limits = SampleLimits(device_samples_mib << 20, samples_mib << 20, samples_days * 86400.0)
    settings = ServeSettings(data=data, sample_limits=limits, **options)  # type: ignore[arg-type]
    try:
        _run(serve(settings, _tell))
    except (FleetError, BrokerError, ContractError) as error:
        advice = getattr(error, "advice", "")
        raise click.ClickException(f"{error}{'. ' + advice if advice else ''}") from error


def set_up_logs(*, verbose: bool) -> None:
    """The server's own sentences; of its libraries and its mosquitto only warnings, unless `verbose`."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    for name in ("aiomqtt", "alembic", "fleet_server.broker.mosquitto.output", "fleet_server.link.fleet_link.mqtt", "tuf", "uvicorn"):
        logging.getLogger(name).setLevel(logging.DEBUG if verbose else logging.WARNING)


def _run(work: object) -> None:
    """Run on uvloop where it is installed."""
    try:
        import uvloop
    except ImportError:
        asyncio.run(work)  # type: ignore[arg-type]
    else:
        uvloop.run(work)  # type: ignore[arg-type]


def _tell(url: str, mqtt_url: str) -> None:
    click.echo(f"Listening on {url} (HTTP) and {mqtt_url} (MQTT). Stop with Ctrl-C.")

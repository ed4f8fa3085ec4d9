"""`eyelet-fleet rollout …`: create, list, show, watch, approve, start, pause, resume, abort, rollback."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from fleet_server.commands.asking import asks_server, console, print_json, print_table

if TYPE_CHECKING:
    from fleet_server.client import FleetClient


@click.group()
def rollout() -> None:
    """Create, watch and steer rollouts."""


@rollout.command(name="create")
@click.argument("model", default="")
@click.argument("version", default=0, type=int)
@click.option(
    "--spec",
    "spec_file",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    help="The whole spec as JSON (RolloutSpec); MODEL and VERSION are then left out.",
)
@click.option("--name", default="", help="Name of the rollout.  [default: MODEL-VERSION]")
@click.option(
    "--phase",
    "phases",
    multiple=True,
    metavar="SHARE[:SECONDS]",
    help="Share of the cohort in percent and how long it bakes, e.g. 10:3600; repeat.  [default: 100]",
)
@click.option("--control", type=click.IntRange(1), help="Control version: makes it an A/B rollout.")
@click.option("--weights", default="1:1", show_default=True, help="Control and treatment weight of an A/B rollout.")
@click.option("--device", "devices", multiple=True, help="Only these devices; repeat.  [default: the whole fleet]")
@click.option("--application", default="", metavar="NAME[:VERSION]", help="Application to deliver with it.")
@click.option("--gate", "gates", multiple=True, metavar="NAME=VALUE", help="A limit of the gates, e.g. max_failures=1; repeat.")
@click.option("--policy", multiple=True, metavar="NAME=VALUE", help="How careful devices are, e.g. probation_s=60; repeat.")
@click.option(
    "--download-window",
    "download_windows",
    multiple=True,
    metavar="WINDOW",
    help="Download only then: [DAYS ]HH:MM-HH:MM[ local], e.g. 22:00-06:00; UTC unless local; repeat.  [default: always]",
)
@click.option(
    "--activation-window",
    "activation_windows",
    multiple=True,
    metavar="WINDOW",
    help="Activate only then, e.g. 'sat,sun 02:00-04:00 local'; repeat.  [default: always]",
)
@click.option("--telemetry", multiple=True, metavar="NAME=VALUE", help="How often devices speak, e.g. window_s=10; repeat.")
@click.option("--on-failure", type=click.Choice(["rollback", "pause"]), default="rollback", show_default=True)
@click.option("--stagger", "stagger_s", default=0.0, help="Seconds between two devices of a phase.")
@click.option(
    "--device-deadline",
    "device_deadline_s",
    type=click.FloatRange(0, min_open=True),
    help="Seconds after which a silent device counts as unreachable.  [default: 86400; with a window, a week more]",
)
@click.option("--agent-min-version", default="", metavar="X.Y.Z", help="Devices with an older agent refuse it.  [default: any]")
@click.option("--force", is_flag=True, help="Try again on devices that quarantined this version.")
@click.option("--approval", is_flag=True, help="Wait for an approval before it may start.")
@click.option("--no-start", is_flag=True, help="Do not start yet.")
@asks_server
def create(client: "FleetClient", spec_file: Path | None, as_json: bool, **options: Any) -> None:  # noqa: ANN401
    """Roll VERSION of MODEL out."""
    from contract.rest import RolloutView
    from fleet_server.commands.rollout_options import build_spec, read_spec
    from fleet_server.words import counted

    view = client.post("/v1/rollouts", read_spec(spec_file) if spec_file else build_spec(options), RolloutView)
    if as_json:
        print_json(view)
    else:
        devices = counted(len(view.assignments), "device")
        click.echo(f"{view.rollout} is {view.state.value}: {view.spec.model} version {view.spec.version} to {devices}")
        if view.verdict:
            click.echo(view.verdict.text)


@rollout.command(name="list")
@asks_server
def list_command(client: "FleetClient", as_json: bool) -> None:
    """List the newest rollouts."""
    from contract.rest import RolloutView

    found = client.get("/v1/rollouts", list[RolloutView])
    if as_json:
        print_json(found)
        return
    rows = [
        (
            view.rollout,
            view.spec.name,
            f"{view.spec.model} {view.spec.version}",
            view.state.value,
            f"{view.phase + 1}/{len(view.spec.phases)}",
            view.state_reason,
        )
        for view in found
    ]
    print_table(("rollout", "name", "version", "state", "phase", "reason"), rows, "no rollout yet")


@rollout.command(name="show")
@click.argument("name", metavar="ROLLOUT")
@asks_server
def show_command(client: "FleetClient", name: str, as_json: bool) -> None:
    """Show a rollout: gates, arms, devices."""
    from contract.rest import RolloutView

    view = client.get(f"/v1/rollouts/{name}", RolloutView)
    if as_json:
        print_json(view)
        return
    from fleet_server.commands.rollout_picture import picture

    console().print(picture(view))


@rollout.command(name="watch")
@click.argument("name", metavar="ROLLOUT")
@click.option("--every", default=1.0, show_default=True, type=click.FloatRange(0.1, 60), help="Seconds between two looks.")
@click.option("--timeout", default=0.0, help="Stop watching after this many seconds.  [default: never]")
@asks_server
def watch(client: "FleetClient", name: str, every: float, timeout: float, as_json: bool) -> None:
    """Watch a rollout until it is over; fails unless it succeeded. With --json, one line per change."""
    from fleet_server.commands.rollout_picture import watch_rollout

    view = watch_rollout(client, name, every, timeout, as_json=as_json)
    if view.state.value != "succeeded":
        raise click.ClickException(f"{name} is {view.state.value}: {view.state_reason}")


def _add_action(action: str, text: str) -> None:
    @rollout.command(name=action, help=text)
    @click.argument("name", metavar="ROLLOUT")
    @click.option("--reason", default="", help="Why; kept in the audit trail.")
    @click.option("--revision", type=int, help="Only if the rollout still has this revision.  [default: the present one]")
    @asks_server
    def action_command(client: "FleetClient", name: str, reason: str, revision: int | None, as_json: bool) -> None:
        from contract.rest import RolloutAction, RolloutView

        current = revision if revision is not None else client.get(f"/v1/rollouts/{name}", RolloutView).revision
        view = client.post(f"/v1/rollouts/{name}/{action}", RolloutAction(current, reason), RolloutView)
        if as_json:
            print_json(view)
        else:
            click.echo(f"{view.rollout} is {view.state.value}")


for _action, _text in (
    ("approve", "Approve a rollout that waits for it."),
    ("start", "Start a rollout that is ready."),
    ("pause", "Ask no further device; what is under way goes on."),
    ("resume", "Go on with a paused rollout."),
    ("abort", "Stop: devices that are done keep the version, the others are called back."),
    ("rollback", "Call every device back to the version it had before."),
):
    _add_action(_action, _text)

"""`eyelet-agent child NAME`: how the frozen program becomes one of its own children."""

import click

from edge_agent.children import CHILDREN, run_child


@click.command(hidden=True)
@click.argument("name", type=click.Choice(sorted(CHILDREN)))
def child(name: str) -> None:
    """Be a child process of the agent."""
    run_child(name)

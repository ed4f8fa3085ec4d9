"""Entry point of the frozen agent: also its own child processes, which it starts as `eyelet-agent child NAME`."""

from edge_agent.cli import main

if __name__ == "__main__":
    main()

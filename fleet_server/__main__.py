"""`python -m fleet_server`: the same as `eyelet-fleet`."""

from fleet_server.cli import main

if __name__ == "__main__":
    main()

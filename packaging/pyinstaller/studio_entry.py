"""Entry point of the frozen studio shell: also its own job processes, which it starts as `eyelet-studio --job-child`."""

from desktop_app.cli import main

if __name__ == "__main__":
    main()

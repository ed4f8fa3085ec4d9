"""`python -m desktop_app` is `eyelet-studio`."""

from desktop_app.cli import main

if __name__ == "__main__":
    main()

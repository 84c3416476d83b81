"""``python -m mdevreg_server``: the server's command line."""

from mdevreg_server.cli import main

if __name__ == "__main__":
    main()

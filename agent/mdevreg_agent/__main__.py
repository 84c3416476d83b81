"""``python -m mdevreg_agent``: the agent's command line."""

from mdevreg_agent.cli import main

if __name__ == "__main__":
    raise SystemExit(main())

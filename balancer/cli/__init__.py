"""The command line: options parsed, one function called, its result printed."""


def main() -> None:
    """Run the command `balance`."""
    from balancer.cli.app import main as run

    run()

"""Deploy to AWS, or to the emulator that AWS_ENDPOINT_URL names: python -m infra.package.deploy STAGE [FUNCTION]."""

import argparse
import signal
import sys
from collections.abc import Sequence

from infra.package.deploy.deploy import Deployed, Deployment
from infra.package.deploy.failures import CannotDeploy, aws_errors
from infra.package.deploy.stages import names
from infra.package.failures import CannotPackage
from infra.template import InvalidTemplate


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m infra.package.deploy", description=__doc__)
    parser.add_argument("stage", metavar="STAGE", nargs="?", help="its settings are in stages/STAGE.toml")
    parser.add_argument("function", metavar="FUNCTION", nargs="?", help="deploy only its code (default: everything)")
    parser.add_argument("--yes", action="store_true", help="do not ask before anything is changed")
    parser.add_argument(
        "--secrets",
        action="store_true",
        help="write over the secrets that the environment has, and let functions read them",
    )
    given = parser.parse_args(arguments)
    if given.secrets and given.function:
        parser.error("--secrets is for a deployment of everything")
    if not given.stage:
        print(f"Name a stage: make deploy STAGE=x. There are: {', '.join(names())}.", file=sys.stderr)
        return 1
    try:
        with aws_errors():
            deployment = Deployment(
                given.stage, say=_say, confirm=lambda: given.yes or deployment.is_emulator or _confirm()
            )
            if given.function:
                deployed: Deployed | None = deployment.one(given.function)
            else:
                deployed = deployment.all(renew_secrets=given.secrets)
    except KeyboardInterrupt:
        return 130
    except (CannotDeploy, CannotPackage, InvalidTemplate) as error:
        print(error, file=sys.stderr)
        return 1
    if deployed is None:
        print("The stack was not changed.")
        return 1
    print(_table(deployed))
    print(deployed.url)
    return 0


def _confirm() -> bool:
    if not sys.stdin.isatty():
        return True
    try:
        return input("Make these changes? [y/N] ").strip().lower() in {"y", "yes"}
    except (EOFError, KeyboardInterrupt):
        # What was prepared is then dropped.
        return False


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _table(deployed: Deployed) -> str:
    lines = [f"{'function':<20} {'code before':<16} {'code now':<16}"]
    for name, now in deployed.after.items():
        before = deployed.before.get(name, "")
        change = "" if before == now else "changed" if before else "new"
        lines.append(f"{name:<20} {before[:12] or '-':<16} {now[:12]:<16} {change}".rstrip())
    return "\n".join(lines)


if __name__ == "__main__":
    # Whoever ends it learns what goes on at AWS.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sys.exit(main())

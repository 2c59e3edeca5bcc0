"""Call functions with messages and by schedule, as template.yaml says: python -m infra.triggers [PACKAGE ...].

With packages, as in `python -m infra.triggers convert sweep`, only for the functions in these folders of functions/.
On SIGTERM or SIGINT it takes no more messages, tells the functions under way that they have DRAIN_S seconds
left, and ends when they have. A second signal ends it at once.
"""

import argparse
import logging
import os
import queue
import signal
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import msgspec

from functions.shared.clock import utc_now
from functions.shared.environment import environment
from functions.shared.logs import get_logger
from functions.shared.problems import Unavailable
from functions.shared.settings import InvalidSettings, from_env
from infra.endpoints import choose_functions, parse_endpoints
from infra.invocations import Invocations
from infra.invoke import InProcessFunctions
from infra.metrics import start_metrics
from infra.rabbitmq.topology import CONSUMER_TIMEOUT_MS, CONVERSIONS
from infra.settings import check_settings
from infra.template import (
    TEMPLATE,
    Function,
    InvalidTemplate,
    QueueTrigger,
    ScheduleTrigger,
    Template,
    load_template,
)
from infra.triggers.bridge import Bridge

# What a function gets, beyond DRAIN_S, to put its things away.
_GRACE_S = 5


class Settings(msgspec.Struct, frozen=True):
    """Settings of the triggers. CONVERT_WORKERS is how many conversions run at once, by default one for each core.

    FUNCTION_ENDPOINTS says which functions are in other places, as `parse_endpoints` reads it; there, each name begins
    with FUNCTION_PREFIX.
    """

    amqp_url: Annotated[str, msgspec.Meta(pattern="^amqps?://.")]
    convert_workers: Annotated[int, msgspec.Meta(ge=1)] = os.cpu_count() or 1
    drain_s: Annotated[int, msgspec.Meta(ge=0)] = 25
    function_endpoints: str = ""
    function_prefix: str = ""


def main(template_path: Path = TEMPLATE, arguments: Sequence[str] | None = None) -> int:
    """Run until a signal comes. Returns the exit code."""
    # A queue, and not an Event, because only its put() is safe in a signal handler.
    signals: queue.SimpleQueue[int] = queue.SimpleQueue()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda received, _: signals.put(received))
    parser = argparse.ArgumentParser(prog="python -m infra.triggers", description=__doc__)
    parser.add_argument("package", nargs="*", help="a folder under functions/ (default: all)")
    packages = parser.parse_args(arguments).package
    try:
        logger = get_logger("triggers")
        environ = environment()
        settings = from_env(Settings, environ)
        template = only(load_template(template_path), packages)
        endpoints = parse_endpoints(settings.function_endpoints, template.functions)
        check_settings([function for function in _called(template) if function.name not in endpoints], environ)
        invocations = Invocations(InProcessFunctions(_with_time(template)))
        functions = choose_functions(template.functions, invocations, endpoints, prefix=settings.function_prefix)
        metrics = start_metrics(environ)
    except (InvalidSettings, InvalidTemplate, Unavailable) as error:
        print(error, file=sys.stderr)
        return 1
    # pika shouts about each lost connection; ours are reported by whoever uses them.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    bridge = Bridge(
        template,
        functions,
        settings.amqp_url,
        workers={CONVERSIONS.name: settings.convert_workers},
        logger=logger,
        clock=utc_now,
        metrics=metrics,
    )
    bridge.start()

    signals.get()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(1))
    logger.info("stopping", extra={"drain_s": settings.drain_s})
    invocations.shorten(settings.drain_s)
    if not bridge.stop(settings.drain_s + _GRACE_S):
        logging.shutdown()
        os._exit(0)  # whatever the function left behind does not hold us up
    return 0


def only(template: Template, packages: Sequence[str]) -> Template:
    """Return a template with the triggers of these packages alone, or of all if none is named.

    Raises InvalidSettings: a package has none.
    """
    if not packages:
        return template
    there = sorted({function.package for function in _called(template)})
    for package in packages:
        if package not in there:
            raise InvalidSettings(f"Nothing triggers {package!r}. Name some of {', '.join(there)}.")

    def is_named(trigger: QueueTrigger | ScheduleTrigger) -> bool:
        return template.functions[trigger.function].package in packages

    return replace(
        template,
        queue_triggers=tuple(filter(is_named, template.queue_triggers)),
        schedule_triggers=tuple(filter(is_named, template.schedule_triggers)),
    )


def _with_time(template: Template) -> dict[str, Function]:
    """Return the functions with as much time as the broker gives a consumer: Lambda's limit is Lambda's alone."""
    longest_s = CONSUMER_TIMEOUT_MS // 1000 - _GRACE_S
    return {name: replace(function, timeout_s=longest_s) for name, function in template.functions.items()}


def _called(template: Template) -> list[Function]:
    called = {trigger.function for trigger in template.queue_triggers}
    called |= {trigger.function for trigger in template.schedule_triggers}
    return [template.functions[name] for name in sorted(called)]


if __name__ == "__main__":
    sys.exit(main())

"""What can be done with RabbitMQ at AMQP_URL: python -m infra.rabbitmq [declare | dead-letters ...].

    declare                              the exchange and the queues; without a command it does this
    dead-letters list                    how many there are, and why
    dead-letters show QUEUE              the letters of one queue, with all that they say
    dead-letters replay QUEUE --all      put them back into the queue, to be tried again
    dead-letters discard QUEUE --all     delete them for ever

Instead of --all, `--message-id ID ...` names letters.
"""

import argparse
import logging
import os
import re
import sys
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
import pika.exceptions

from functions.shared.settings import InvalidSettings, from_env
from functions.shared.text import escaped
from infra.rabbitmq.dead_letters import DeadLetter, NoSuchQueue, NotReplayed, dead_letters_of
from infra.rabbitmq.topology import QUEUES, Queue, TopologyConflict, declare

_QUEUES = {queue.name: queue for queue in QUEUES} | {queue.dead_letters: queue for queue in QUEUES}


class Settings(msgspec.Struct, frozen=True):
    """Where RabbitMQ is."""

    amqp_url: Annotated[str, msgspec.Meta(pattern="^amqps?://.")]


def main(arguments: Sequence[str] | None = None) -> int:
    """Return the exit code."""
    given = _parser().parse_args(arguments)
    # What it would shout about is in our sentence.
    logging.getLogger("pika").setLevel(logging.CRITICAL)
    try:
        amqp_url = from_env(Settings, os.environ).amqp_url
        if given.command in (None, "declare"):
            declare(amqp_url)
            print("Declared " + ", ".join(queue.name for queue in QUEUES))
            return 0
        if given.action in (None, "list"):
            return _list(given, amqp_url)
        if given.action == "show":
            return _show(given, amqp_url)
        return _settle(given, amqp_url)
    except (InvalidSettings, TopologyConflict, NoSuchQueue) as error:
        print(error, file=sys.stderr)
    except (pika.exceptions.AMQPError, OSError, ValueError, LookupError) as error:
        print(f"RabbitMQ at AMQP_URL cannot be used: {error!r}", file=sys.stderr)
    except KeyboardInterrupt:
        return 130
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.rabbitmq", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("declare", help="declare the exchange and the queues")
    letters = commands.add_parser("dead-letters", help="look at messages that were given up, and put them back")
    letters.set_defaults(number=20, json=False)
    actions = letters.add_subparsers(dest="action", metavar="ACTION")
    for name, what in {
        "list": "how many there are in each queue, and why",
        "show": "the letters of one queue, with all that they say",
        "replay": "put letters back into the queue that they came from",
        "discard": "delete letters for ever",
    }.items():
        action = actions.add_parser(name, help=what, description=what)
        action.add_argument("--json", action="store_true", help="print JSON")
        if name != "list":
            action.add_argument("queue", type=_queue, metavar="QUEUE", help=" or ".join(each.name for each in QUEUES))
        if name in ("list", "show"):
            action.add_argument(
                "--number", type=_number, default=20, help="look at so many letters at most (default: %(default)s)"
            )
        else:
            which = action.add_mutually_exclusive_group(required=True)
            which.add_argument("--all", action="store_true", help="all that are there now")
            which.add_argument("--message-id", nargs="+", metavar="ID", help="those of these ids, as `list` shows them")
    return parser


def _queue(name: str) -> Queue:
    if name not in _QUEUES:
        raise argparse.ArgumentTypeError(f"there is no queue {name}; there are {' and '.join(q.name for q in QUEUES)}")
    return _QUEUES[name]


def _number(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,5}", text) or not 1 <= int(text) <= 10_000:
        raise argparse.ArgumentTypeError("it is from 1 to 10000")
    return int(text)


def _list(given: argparse.Namespace, amqp_url: str) -> int:
    looks = []
    for queue in QUEUES:
        with dead_letters_of(queue, amqp_url) as dead_letters:
            looks.append((queue, *dead_letters.look(given.number)))
    if given.json:
        _print_json([_look_as_json(queue, count, map(_summary, letters)) for queue, count, letters in looks])
        return 0
    for queue, count, letters in looks:
        print(_heading(queue, count))
        for letter in letters:
            print(f"  {_line(letter)}")
        _print_more(count, letters)
    return 0


def _show(given: argparse.Namespace, amqp_url: str) -> int:
    with dead_letters_of(given.queue, amqp_url) as dead_letters:
        count, letters = dead_letters.look(given.number)
    if given.json:
        _print_json(_look_as_json(given.queue, count, map(_whole, letters)))
        return 0
    print(_heading(given.queue, count))
    for letter in letters:
        print(f"\n{_line(letter)}")
        whole = _whole(letter)
        print(f"  headers {escaped(msgspec.json.encode(whole['headers']).decode())}")
        print(f"  body    {escaped(whole['body'])}")
    _print_more(count, letters)
    return 0


def _settle(given: argparse.Namespace, amqp_url: str) -> int:
    """Replay or discard."""
    ids = None if given.all else set(given.message_id)
    done: list[DeadLetter] = []
    problem = None
    with dead_letters_of(given.queue, amqp_url) as dead_letters:
        settle = dead_letters.replay if given.action == "replay" else dead_letters.discard
        try:
            for letter in settle(lambda letter: ids is None or letter.id in ids):
                done.append(letter)
                if not given.json:
                    # One by one, so that it is known of each even if we are interrupted.
                    print(f"{given.action} {_line(letter)}", flush=True)
        except NotReplayed as error:
            problem = str(error)
    missing = sorted((ids or set()) - {letter.id for letter in done})
    if problem is None and missing:
        problem = f"Not among the dead letters: {', '.join(missing)}"
    if given.json:
        done_as_json = [_whole(letter) for letter in done]
        _print_json({"queue": given.queue.name, given.action: done_as_json, "missing": missing, "problem": problem})
    else:
        word = "Replayed" if given.action == "replay" else "Discarded"
        print(f"{word} {len(done)} of {given.queue.name}")
    if problem is not None:
        print(escaped(problem), file=sys.stderr)
    return 0 if problem is None else 1


def _heading(queue: Queue, count: int) -> str:
    return f"{queue.name}: {count or 'no'} dead letter{'' if count == 1 else 's'}"


def _print_more(count: int, letters: list[DeadLetter]) -> None:
    if count > len(letters):
        print(f"  and {count - len(letters)} more; --number shows more of them")


def _line(letter: DeadLetter) -> str:
    what = letter.event or "(not one of our messages)"
    why = letter.reason or "put here by hand"
    when = "" if letter.died_at is None else f" at {letter.died_at:%Y-%m-%dT%H:%M:%SZ}"
    again = f", replayed {letter.replays} times before" if letter.replays else ""
    return escaped(f"{letter.id}  {what}  conversion {letter.conversion_id or '-'}  {why}{when}{again}")


def _summary(letter: DeadLetter) -> dict[str, Any]:
    summary = msgspec.structs.asdict(letter)
    del summary["headers"], summary["body"]
    return summary


def _whole(letter: DeadLetter) -> dict[str, Any]:
    body = letter.body.decode("utf-8", "backslashreplace")
    if letter.size > len(letter.body):
        body = f"{body}… ({letter.size} bytes)"
    return {**_summary(letter), "headers": letter.headers, "body": body}


def _look_as_json(queue: Queue, count: int, letters: Any) -> dict[str, Any]:
    return {"queue": queue.name, "count": count, "letters": list(letters)}


def _print_json(value: Any) -> None:
    print(msgspec.json.format(msgspec.json.encode(value)).decode())


if __name__ == "__main__":
    sys.exit(main())

#!/bin/sh
# Install what is missing: Python packages into .venv, and with apt RabbitMQ, libcurl and, for the tests, curl and
# Chromium. Then build the page, if its sources have changed.
#
#   setup.sh run    what `make run` and `make demo` need
#   setup.sh dev    that, and what the tests and checks need
#
# Does nothing, and says nothing, when nothing is missing. PYTHON names the Python to make .venv with.
set -eu
cd "$(dirname "$0")/../.."
groups=run
[ "$1" = run ] || groups="run $1"
apt_is_fresh=

say() { echo "setup: $*" >&2; }

fail() {
    say "$@"
    exit 1
}

# An installer that is interrupted must not go on alone.
child=
stop() {
    trap - EXIT HUP INT TERM
    [ -z "$child" ] || kill "$child" 2>/dev/null || true
    wait
    exit 130
}
trap stop HUP INT TERM

step() {
    "$@" </dev/null &
    child=$!
    wait "$child" || return $?
    child=
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        step "$@"
    else
        # In the foreground, since sudo may ask for a password.
        sudo "$@"
    fi
}

# can_install PACKAGE ADVICE: whether apt can be used; else say what to do instead.
can_install() {
    if ! command -v apt-get >/dev/null; then
        say "$1 is missing, and this system has no apt to install it with."
        say "$2"
        return 1
    fi
    if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
        say "$1 is missing. Ask an administrator to run: apt-get install $1"
        say "$2"
        return 1
    fi
}

# install PACKAGE: with apt, without any question. Nothing that the package would start is started.
install() {
    if [ -z "$apt_is_fresh" ]; then
        say "Updating the list of system packages"
        as_root apt-get -qq update || say "The list could not be updated; going on with the old one."
        apt_is_fresh=yes
    fi
    say "Installing $1 with apt"
    as_root env DEBIAN_FRONTEND=noninteractive RUNLEVEL=1 \
        apt-get -qq -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=120 install --yes --no-install-recommends "$1"
}

find_python() {
    for candidate in "${PYTHON:-python3}" python3 python3.14 python3.13 python3.12 python3.11; do
        if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    say "Python 3.11 or newer is needed. $(python3 --version 2>&1 || true) was found."
    fail "Install it (on Debian or Ubuntu: apt-get install python3), or name it: make setup PYTHON=/path/to/python3.11"
}

ensure_environment() {
    if [ -x .venv/bin/python ] && .venv/bin/python -m pip --version >/dev/null 2>&1; then
        return
    fi
    python=$(find_python)
    if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
        # Debian and Ubuntu keep the module venv in a package of its own.
        can_install python3-venv "Install Python's modules venv and ensurepip." || exit 1
        install python3-venv
        "$python" -c 'import ensurepip, venv' 2>/dev/null ||
            install "$("$python" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')"
    fi
    say "Making .venv with $("$python" --version)"
    step "$python" -m venv --clear .venv
}

ensure_packages() {
    lock="requirements/$1.txt"
    stamp=".venv/installed-$1"
    log=".venv/pip-$1.log"
    wanted=$(cksum <"$lock")
    if [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$wanted" ]; then
        return
    fi
    count=$(grep -c '^[a-z0-9].*==' "$lock")
    say "Installing the $count Python packages of $lock, which takes a minute or two the first time"
    # Every file is checked against its hash. Nothing is resolved: the lock file is complete.
    .venv/bin/python -m pip install --disable-pip-version-check --no-input --progress-bar off --no-deps \
        --require-hashes --requirement "$lock" </dev/null >"$log" 2>&1 &
    child=$!
    if [ -t 2 ]; then
        while kill -0 "$child" 2>/dev/null; do
            printf '\rsetup: %s of %s ' "$(grep -cE '^ *(Collecting|Processing|Requirement already)' "$log" || true)" "$count" >&2
            sleep 0.5
        done
        printf '\n' >&2
    fi
    if ! wait "$child"; then
        tail -n 20 "$log" >&2
        fail "The packages could not be installed. All that pip said is in $log"
    fi
    child=
    echo "$wanted" >"$stamp"
}

ensure_rabbitmq() {
    if [ -n "${AMQP_URL:-}" ] || [ -x /usr/lib/rabbitmq/bin/rabbitmq-server ] ||
        command -v rabbitmq-server >/dev/null; then
        return
    fi
    can_install rabbitmq-server "Other ways: install RabbitMQ 3.10 or newer yourself (https://www.rabbitmq.com/docs/download); \
set AMQP_URL to one that runs elsewhere; or use containers for everything: docker compose up" || exit 1
    systemd=
    if [ -d /run/systemd/system ]; then
        # We start RabbitMQ ourselves, with settings of our own.
        systemd=yes
        as_root systemctl --quiet mask rabbitmq-server.service || true
    fi
    installed=yes
    install rabbitmq-server || installed=
    if [ -n "$systemd" ]; then
        as_root systemctl --quiet unmask rabbitmq-server.service || true
        as_root systemctl --quiet disable rabbitmq-server.service || true
    fi
    [ -n "$installed" ] || fail "RabbitMQ could not be installed. Set AMQP_URL to one that runs elsewhere, or use: docker compose up"
}

ensure_libcurl() {
    if [ -n "${MONGODB_URL:-}" ] || PATH="$PATH:/sbin:/usr/sbin" ldconfig -p 2>/dev/null | grep -q 'libcurl\.so\.4'; then
        return
    fi
    # The bundled mongod is linked with it.
    can_install libcurl4 "Other ways: install libcurl yourself; set MONGODB_URL to a MongoDB that runs \
elsewhere; or use containers for everything: docker compose up" || exit 1
    install libcurl4 || fail "libcurl4 could not be installed. Set MONGODB_URL to a MongoDB that runs elsewhere."
}

build_page() {
    step .venv/bin/python -m infra.web || fail "The page could not be built."
}

ensure_curl() {
    command -v curl >/dev/null && return
    can_install curl "Install curl, with which the tests try the commands of the README." || exit 1
    install curl || fail "curl could not be installed."
}

ensure_chromium() {
    # The names under which tests/browser/conftest.py looks for it.
    for name in chromium chromium-browser google-chrome google-chrome-stable; do
        ! command -v "$name" >/dev/null || return 0
    done
    advice="Install Chromium or Google Chrome, in which the tests play MP3s (https://www.google.com/chrome/)."
    can_install chromium "$advice" || exit 1
    # Ubuntu has it as a snap only.
    install chromium || fail "Chromium could not be installed. $advice"
}

# Of two that run at once the second waits for the first, and then finds nothing to do.
if command -v flock >/dev/null; then
    mkdir -p .local
    exec 9>.local/setup.lock
    flock 9
fi
ensure_environment
for group in $groups; do
    ensure_packages "$group"
done
if [ "$(uname -s)" = Linux ]; then
    ensure_libcurl
fi
ensure_rabbitmq
build_page
if [ "$1" != run ]; then
    ensure_curl
    ensure_chromium
fi

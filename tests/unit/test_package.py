"""Zips for Lambda: what is in them, and that the same comes out each time. Real ones are built, with real packages."""

import ast
import os
import re
import signal
import stat
import subprocess
import sys
import zipfile
from io import BytesIO
from pathlib import Path, PurePosixPath

import pytest

from infra.package import packages
from infra.package.__main__ import main
from infra.package.archive import File, pack, unpack
from infra.package.contents import AWS_SERVICES, is_needed, own_files, wheel_files
from infra.package.failures import CannotPackage
from infra.package.imports import read_imports
from infra.package.packages import MAX_UNPACKED_BYTES, RUNTIME, Package, names, package
from infra.template import TEMPLATE, load_template
from tests.imports import ROOT

# With the Python of the tests, what is packed can be imported here.
THIS_PYTHON = f"python{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture(scope="module")
def health(tmp_path_factory: pytest.TempPathFactory) -> Package:
    """A small function with an HTTP interface, packed."""
    return package("health", runtime=THIS_PYTHON, output=tmp_path_factory.mktemp("packed"))


@pytest.fixture(scope="module")
def unpacked(health: Package, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, as it lies on Lambda's disk."""
    folder = tmp_path_factory.mktemp("unpacked")
    unpack(health.path, folder)
    return folder


def test_the_same_input_makes_the_same_bytes(health: Package, tmp_path: Path):
    """A deployment shows what it changes by the hash of the code. Umask, folder and time are not the code."""
    again = subprocess.run(
        [sys.executable, "-m", "infra.package", "health", "--runtime", THIS_PYTHON, "--output", "there"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        umask=0o077,
        timeout=240,
        capture_output=True,
        text=True,
        check=False,
    )

    assert again.returncode == 0, again.stderr
    assert (tmp_path / "there" / "health.zip").read_bytes() == health.path.read_bytes()
    assert re.search(rf"^health .* {health.sha256}  imported$", again.stdout, re.MULTILINE)
    assert [path.name for path in (tmp_path / "there").iterdir()] == ["health.zip"]


def test_a_zip_says_nothing_of_the_machine_it_was_made_on(tmp_path: Path):
    """Order, times, owners and modes differ from disk to disk."""
    files = {
        "b/run": File(lambda: BytesIO(b"run"), 3, executable=True),
        "a.py": File(lambda: BytesIO(b"pass"), 4),
    }

    pack(files, tmp_path / "one.zip")
    pack(dict(reversed(files.items())), tmp_path / "two.zip")

    assert (tmp_path / "one.zip").read_bytes() == (tmp_path / "two.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "one.zip") as packed:
        assert [(info.filename, info.date_time) for info in packed.infolist()] == [
            ("a.py", (1980, 1, 1, 0, 0, 0)),
            ("b/run", (1980, 1, 1, 0, 0, 0)),
        ]
        assert [oct(info.external_attr >> 16) for info in packed.infolist()] == ["0o100644", "0o100755"]
    unpack(tmp_path / "one.zip", tmp_path / "out")
    assert (tmp_path / "out/a.py").read_bytes() == b"pass"
    assert stat.S_IMODE((tmp_path / "out/b/run").stat().st_mode) == 0o755


def test_a_zip_holds_its_function_and_no_other(unpacked: Path):
    """What is not there cannot be called, and need not be deployed when it changes."""
    assert {path.name for path in (unpacked / "functions").iterdir()} == {"__init__.py", "health", "shared"}
    for path in (*(ROOT / "functions/health").glob("*.py"), *(ROOT / "functions/shared").glob("*.py")):
        assert (unpacked / path.relative_to(ROOT)).read_bytes() == path.read_bytes()


def test_a_zip_holds_the_locked_packages_and_no_tools(unpacked: Path):
    """Scripts, compiled leftovers, lists of files and what deploys functions only make it larger."""
    versions = {
        re.sub(r"[-_.]+", "-", folder.name.removesuffix(".dist-info").rpartition("-")[0]).lower()
        for folder in unpacked.glob("*.dist-info")
    }
    files = [path.relative_to(unpacked) for path in unpacked.rglob("*") if path.is_file()]

    assert versions == set(re.findall(r"^[a-z0-9-]+(?===)", _lock("health"), re.MULTILINE))
    assert sorted(path.name for path in (unpacked / "chalice").rglob("*")) == ["__init__.py", "app.py"]
    assert not {"pip", "setuptools", "bin", "tests"} & {part for path in files for part in path.parts}
    assert not [path for path in files if path.suffix == ".pyc" or path.name in {"RECORD", "INSTALLER"}]


def _lock(function: str) -> str:
    return (ROOT / f"requirements/functions/{function}.txt").read_text()


def test_clients_of_aws_can_be_made_with_what_is_kept_of_botocore(unpacked: Path):
    """It knows four hundred services by files, of which five are packed. A missing one is seen at the first call."""
    program = f"""
import sys
sys.path.insert(0, {str(unpacked)!r})
import boto3
for service in {sorted(AWS_SERVICES)}:
    client = boto3.client(service, region_name="eu-central-1", aws_access_key_id="a", aws_secret_access_key="b")
    print(service, client.meta.endpoint_url)
"""
    made = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", program],
        env={},
        timeout=60,
        capture_output=True,
        text=True,
        check=False,
    )

    assert (made.returncode, made.stderr) == (0, "")
    assert [line.split()[0] for line in made.stdout.splitlines()] == sorted(AWS_SERVICES)
    assert {path.name for path in (unpacked / "botocore/data").iterdir() if path.is_dir()} == AWS_SERVICES


def test_every_service_of_aws_that_functions_call_is_kept():
    """One that is added would be missing in the zip."""
    calls = [
        node
        for path in (ROOT / "functions").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "client"
    ]
    services = {ast.literal_eval(call.args[0]) for call in calls if call.args}

    assert services | {"sts"} == AWS_SERVICES


def test_the_code_of_a_real_zip_can_be_read_instead_of_run(unpacked: Path, tmp_path: Path):
    """On most machines there is no Python of AWS's version."""
    read_imports(unpacked, ["functions.health.app.app"])

    (unpacked / "pika").rename(tmp_path / "pika")
    try:
        with pytest.raises(CannotPackage, match=r"imports pika.*, which is not in the zip\."):
            read_imports(unpacked, ["functions.health.app.app"])
    finally:
        (tmp_path / "pika").rename(unpacked / "pika")


def test_the_converter_is_packed_with_an_ffmpeg_that_starts_and_fits_into_lambda(tmp_path: Path):
    """It is the largest. That it was imported and ffmpeg said its version is why there is a zip at all."""
    packed = package("convert", runtime=THIS_PYTHON, output=tmp_path)

    with zipfile.ZipFile(packed.path) as archive:
        infos = {info.filename: info for info in archive.infolist()}
    (ffmpeg,) = [name for name in infos if "ffmpeg-linux" in name]
    assert stat.S_IMODE(infos[ffmpeg].external_attr >> 16) == 0o755
    assert "chalice/app.py" not in infos
    assert packed.tried == "imported"
    assert packed.zip_bytes == packed.path.stat().st_size
    assert 150_000_000 < packed.unpacked_bytes == sum(info.file_size for info in infos.values()) < MAX_UNPACKED_BYTES


@pytest.mark.parametrize(
    ("name", "needed"),
    [
        ("chalice/app.py", True),
        ("chalice/cli/__init__.py", False),
        ("botocore/data/s3/2006-03-01/service-2.json.gz", True),
        ("botocore/data/ec2/2016-11-15/service-2.json.gz", False),
        ("botocore/data/endpoints.json", True),
        ("botocore/data/__pycache__/x.pyc", False),
        ("botocore/auth.py", True),
        ("boto3/data/s3/2006-03-01/resources-1.json", True),
        ("boto3/data/ec2/2016-11-15/resources-1.json", False),
        ("boto3-1.0.dist-info/METADATA", True),
        ("boto3-1.0.dist-info/RECORD", False),
        ("greenlet/tests/test_x.py", False),
        ("six.py", True),
    ],
)
def test_a_file_is_packed_if_a_function_needs_it(name: str, needed: bool):
    """The rules, one by one."""
    assert is_needed(PurePosixPath(name)) is needed


def test_files_of_a_wheel_lie_where_pip_would_install_them(tmp_path: Path):
    """Some lie in a folder of their own in the wheel, and scripts and manual pages nowhere that a function looks."""
    wheel = tmp_path / "x-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as made:
        for name in ("x/a.py", "x-1.0.data/purelib/x/b.py", "x-1.0.data/scripts/x", "x-1.0.data/data/share/man/x.1"):
            made.writestr(name, name)

    with zipfile.ZipFile(wheel) as opened:
        assert {name: file.open().read().decode() for name, file in wheel_files(opened)} == {
            "x/a.py": "x/a.py",
            "x/b.py": "x-1.0.data/purelib/x/b.py",
        }


def test_leftovers_of_python_and_of_editors_stay_here():
    """They differ from one working copy to the next."""
    packed = [name for name, _ in own_files("convert")]

    assert "functions/convert/confine.py" in packed
    assert not [name for name in packed if "__pycache__" in name or "/." in name]


def test_every_function_of_the_template_can_be_packed():
    """A folder without a lock file would be missed at its first deployment."""
    assert set(names()) == {path.stem for path in (ROOT / "requirements/functions").iterdir()}
    assert {function.package for function in load_template().functions.values()} == set(names())
    assert f"Runtime: {RUNTIME}\n" in TEMPLATE.read_text()


# What goes wrong


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["nothing"], "There is no function 'nothing'. There are: auth, "),
        (["sweep", "--runtime", "3.13"], "There is no runtime '3.13'. Name it as Lambda does: python3.13."),
        (["sweep", "--output", "/dev/null/x"], "/dev/null/x cannot be written or read: Not a directory."),
    ],
)
def test_what_cannot_be_packed_is_told_in_a_sentence(
    arguments: list[str], sentence: str, capsys: pytest.CaptureFixture[str]
):
    """Nobody should have to read a traceback to correct a word."""
    assert main(arguments) == 1
    assert sentence in capsys.readouterr().err


def test_what_lambda_would_refuse_is_not_packed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Lambda says so only after some minutes of uploading."""
    monkeypatch.setattr(packages, "MAX_UNPACKED_BYTES", 1_000_000)

    with pytest.raises(CannotPackage, match=r"sweep unpacks to [\d,]+ bytes, and Lambda takes 1,000,000\."):
        package("sweep", runtime=THIS_PYTHON, output=tmp_path)

    assert list(tmp_path.iterdir()) == []


def test_what_does_not_run_does_not_replace_what_did(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A failed build must leave the last good zip, and nothing half-made beside it."""
    monkeypatch.setattr(packages, "wheels", lambda *_: [])
    (tmp_path / "sweep.zip").write_bytes(b"the last good one")

    with pytest.raises(CannotPackage, match=r"cannot be imported from the zip: ModuleNotFoundError: No module named"):
        package("sweep", runtime=THIS_PYTHON, output=tmp_path)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"sweep.zip": b"the last good one"}


@pytest.mark.parametrize(
    ("name", "step", "number"), [("convert", "packing", signal.SIGINT), ("sweep", "trying it", signal.SIGTERM)]
)
def test_an_interrupted_build_leaves_nothing_behind(name: str, step: str, number: signal.Signals, tmp_path: Path):
    """A zip that is not whole must never be deployed, and a disk should not fill with what nobody wanted."""
    with subprocess.Popen(
        [sys.executable, "-m", "infra.package", name, "--runtime", THIS_PYTHON, "--output", tmp_path],
        env={**os.environ, "TMPDIR": str(tmp_path)},
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stderr is not None
        assert f"{name}: {step}\n" in iter(process.stderr.readline, "")
        assert list(tmp_path.iterdir())

        process.send_signal(number)
        _, told = process.communicate(timeout=60)

    assert (process.returncode, told) == (130, "")
    assert list(tmp_path.iterdir()) == []


def test_make_package_packs_what_it_is_told():
    """The target is what README and CI call."""
    asked = subprocess.run(
        ["make", "--dry-run", "package", "FUNCTION=convert", "RUNTIME=python3.12", "OUTPUT=there"],
        cwd=ROOT,
        timeout=60,
        capture_output=True,
        text=True,
        check=True,
    ).stdout

    assert 'infra.package convert --runtime "python3.12" --output "there"' in asked

"""python -m infra.prepare, on real servers."""

import pika
import pytest
from pymongo.database import Database

from functions.shared.mongo import Document
from infra.mongo.schema import CONVERSIONS
from infra.prepare import Settings, main, prepare
from infra.rabbitmq.topology import ARGUMENTS

SECRETS = {"JWT_KEYS": f"k1={'s' * 32}", "LINK_KEYS": "s" * 32}


@pytest.fixture
def settings(postgres_url: str, mongo: Database[Document], servers: object, amqp_url: str) -> Settings:
    """Where the servers of this test are."""
    host, port = mongo.client.address or ("127.0.0.1", 27017)
    return Settings(postgres_url, f"mongodb://{host}:{port}/{mongo.name}", amqp_url)


@pytest.fixture
def environ(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """An environment with all that the functions need, to be changed."""
    urls = {
        "POSTGRES_URL": settings.postgres_url,
        "MONGODB_URL": settings.mongodb_url,
        "AMQP_URL": settings.amqp_url,
    }
    for name, value in {**SECRETS, **urls}.items():
        monkeypatch.setenv(name, value)
    return monkeypatch


def test_everything_that_is_missing_is_made(
    environ: pytest.MonkeyPatch, settings: Settings, mongo: Database[Document], capsys: pytest.CaptureFixture[str]
):
    """The first start of a service finds three empty servers."""
    mongo.conversions.drop()
    with pika.BlockingConnection(pika.URLParameters(settings.amqp_url)) as connection:
        for queue in ARGUMENTS:
            connection.channel().queue_delete(queue)

    assert main() == 0

    assert capsys.readouterr() == ("Tables, indexes and queues are up to date\n", "")
    names = {index.document["name"] for index in CONVERSIONS}
    assert names <= set(mongo.conversions.index_information())
    with pika.BlockingConnection(pika.URLParameters(settings.amqp_url)) as connection:
        for queue in ARGUMENTS:
            connection.channel().queue_declare(queue, passive=True)


def test_what_is_there_is_left_alone(settings: Settings, mongo: Database[Document]):
    """It runs before every start."""
    mongo.conversions.insert_one({"_id": "c1"})

    prepare(settings)
    prepare(settings)

    assert mongo.conversions.count_documents({}) == 1


@pytest.mark.parametrize(
    ("variable", "value", "sentence"),
    [
        ("POSTGRES_URL", "nonsense", "POSTGRES_URL cannot be used. Write it as postgresql://user:password@host/name."),
        ("POSTGRES_URL", "postgresql://u:hidden@127.0.0.1:1/x", "PostgreSQL cannot be used: connection failed"),
        ("MONGODB_URL", "mongodb://u:hidden@h:port/", "MONGODB_URL cannot be used. Write it as mongodb://"),
        ("MONGODB_URL", "mongodb://127.0.0.1:1/x", "MongoDB cannot be used: 127.0.0.1:1"),
        ("AMQP_URL", "nonsense", "AMQP_URL cannot be used. Write it as amqp://user:password@host/vhost."),
        ("AMQP_URL", "amqp://u:hidden@127.0.0.1:1/%2F", "RabbitMQ cannot be used: "),
        ("JWT_KEYS", "", "AuthFunction cannot run. The environment variable JWT_KEYS is not set."),
    ],
)
def test_what_cannot_be_used_is_named_without_its_password(
    variable: str, value: str, sentence: str, environ: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Whoever starts the service reads one sentence that says where to look."""
    environ.setenv(variable, value)
    # It would wait this long for a MongoDB that may yet come.
    environ.setattr("functions.shared.mongo.OPERATION_MS", 500)

    assert main() == 1

    out, err = capsys.readouterr()
    assert (out, err.startswith(sentence)) == ("", True), err
    assert "hidden" not in err
    assert "Traceback" not in err

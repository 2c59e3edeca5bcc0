"""Settings, read as each function reads them."""

import pytest

from functions.auth.settings import Settings as AuthSettings
from functions.convert.app import Settings as ConvertSettings
from functions.health.app import Settings as HealthSettings
from functions.shared.settings import InvalidSettings, from_env
from functions.sweep.app import Settings as SweepSettings

ENVIRONMENT = dict.fromkeys(("POSTGRES_URL", "MONGODB_URL", "AMQP_URL", "JWT_KEYS"), "-")


@pytest.mark.parametrize("value", ["0", "-1", "soon", "inf", "nan"])
@pytest.mark.parametrize(
    ("settings", "variable"),
    [
        (ConvertSettings, "LEASE_S"),
        (ConvertSettings, "MAX_ATTEMPTS"),
        (ConvertSettings, "RETRY_PAUSE_S"),
        (ConvertSettings, "MAX_DURATION_S"),
        (ConvertSettings, "RETENTION_DAYS"),
        (SweepSettings, "REANNOUNCE_S"),
        (HealthSettings, "OWED_S"),
        (AuthSettings, "ACCESS_TTL_S"),
        (AuthSettings, "REFRESH_TTL_S"),
        (AuthSettings, "HASHES_AT_ONCE"),
    ],
)
def test_a_number_that_makes_no_sense_is_refused(settings, variable, value):
    """A lease that is over at once, or a conversion that is never tried, shows as anything but a wrong setting."""
    with pytest.raises(InvalidSettings, match=f"^The environment variable {variable} cannot be used: "):
        from_env(settings, {**ENVIRONMENT, variable: value})


@pytest.mark.parametrize("settings", [ConvertSettings, SweepSettings, HealthSettings, AuthSettings])
def test_without_further_settings_there_are_defaults(settings):
    """Only where the servers are and which keys are used must be said."""
    from_env(settings, ENVIRONMENT)


def test_the_smallest_number_that_makes_sense_is_taken():
    """Tests and demonstrations want to see things happen soon."""
    assert from_env(ConvertSettings, {**ENVIRONMENT, "LEASE_S": "1"}).lease_s == 1

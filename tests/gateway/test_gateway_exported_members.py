"""The public names of the package."""

import tokenbus_gateway


def test_the_public_names_are_these() -> None:
    assert sorted(tokenbus_gateway.__all__) == [
        "AccessFile",
        "AccessFileError",
        "Authenticator",
        "GatewaySettings",
        "gateway",
        "openapi_document",
        "read_access_file",
    ]
    assert all(hasattr(tokenbus_gateway, name) for name in tokenbus_gateway.__all__)

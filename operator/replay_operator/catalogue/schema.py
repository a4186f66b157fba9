"""What to do about the schema that is found at start. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import NoReturn

from replay_operator.catalogue.errors import SchemaRefusedError

REVISIONS = ("0001", "0002", "0003")
"""Of this version, oldest first: one for each file in `migrations/versions`."""


class SchemaStep(StrEnum):
    """What the start has to do."""

    NOTHING = "Nothing"
    UPGRADE = "Upgrade"


def schema_step(found: str | None, known: Sequence[str]) -> SchemaStep:
    """Say what a database needs.

    Args:
        found: Revision of its schema; None: it has none.
        known: Revisions of this version, oldest first.

    Raises:
        SchemaRefusedError: A newer version has been at it. Its rows may mean what this one does not know.
    """
    if found is not None and found not in known:
        raise SchemaRefusedError(
            f"the catalogue's schema is at revision {found}, this version knows none after {known[-1]}: "
            "run the version that made it, or a newer one, or bring back the backup from before the upgrade"
        )
    return SchemaStep.NOTHING if found == known[-1] else SchemaStep.UPGRADE


def refuse_downgrade(revision: str) -> NoReturn:
    """Say that no way leads back from a revision.

    Args:
        revision: The one to be taken back.

    Raises:
        SchemaRefusedError: Always. Columns that go take rows' contents with them.
    """
    raise SchemaRefusedError(
        f"revision {revision} of the catalogue's schema is not taken back: it would lose what was recorded "
        "since. Bring back the backup from before the upgrade"
    )

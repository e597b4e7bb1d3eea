"""What can be known of an account at a venue, fact by fact: proven by a reading key, fixed by the venue, stated by the owner,
or seen by nobody. Computed from the catalogue and the venue file; loads no connector.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cache

from auditor.model.facts import LISTS, catalogue
from auditor.model.venue import VenueFile, shown_paths
from auditor.values import frozen


class Sight(StrEnum):
    """Who can know a fact. `beyond_reading` opens to a key that may do more than read, which is never asked for; `derived`
    follows from other facts, and is as good as they are.
    """

    PROVEN = "proven"
    BEYOND = "beyond_reading"
    FIXED = "fixed"
    ATTESTED = "attested"
    DERIVED = "derived"
    UNSEEN = "unseen"


@frozen
class View:
    """The facts of a venue by who can know them. `places` says of which keys and lists a reading key proves what; `lists` are
    those of which it shows nothing at all.
    """

    facts: Mapping[str, Sight]
    places: Mapping[str, tuple[str, ...]]
    lists: tuple[str, ...]

    def of(self, sight: Sight) -> tuple[str, ...]:
        """Fact paths in the order of the catalogue."""
        return tuple(path for path, found in self.facts.items() if found is sight)


@cache
def of_scopes() -> tuple[str, ...]:
    """The facts that are about an account. Those of the venue itself are policies, but for its state now; of third parties
    no exchange knows anything.
    """
    kept = {"account", "api_key", "address", "event", "withdrawal"}
    return tuple(path for path, fact in catalogue().items() if fact.scope in kept or path == "venue.status")


def view(venue: VenueFile) -> View:
    """Every fact about an account at this venue. A closed venue, or one without an API, proves nothing."""
    proven = set(venue.proven())
    beyond = set(venue.beyond_reading)
    places = {
        place: tuple(name for name in names if f"{place}.{name}" not in beyond)
        for place, names in venue.shows.items()
        if place not in beyond
    }
    read = {path for place, names in places.items() for path in shown_paths(place, names)} - beyond
    fixed = {policy.fact for policy in venue.policies if policy.value is not None}
    shown = {path.partition(".")[0] for path in proven}
    return View(
        facts={path: Sight.BEYOND if path in proven - read else _sight(path, read, fixed) for path in of_scopes()},
        places=places,
        lists=tuple(key for scope, key in LISTS.items() if scope not in shown and scope != "vendor"),
    )


def _sight(path: str, read: set[str], fixed: set[str]) -> Sight:
    by = catalogue()[path].by
    if path in read:
        return Sight.PROVEN
    if path in fixed:
        return Sight.FIXED
    if "attest" in by:
        return Sight.ATTESTED
    return Sight.UNSEEN if by <= {"api", "venue"} else Sight.DERIVED

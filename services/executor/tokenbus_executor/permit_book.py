"""Which of one provider's permits are taken, as far as an executor knows. Pure; `permits.py` takes them.

A permit is a number below the provider's limit. What others hold is what the watch of the bucket has told, which may be
a moment old; so this says where to try, and the bucket's compare and set decides.
"""

from collections.abc import Mapping, Set


class PermitBook:
    """The permits of one provider."""

    def __init__(self) -> None:
        self._told: set[int] = set()
        self._own: dict[int, int] = {}
        self._before: dict[int, int] = {}
        self.waiting = 0
        """Answers here that want one and have none."""

    @property
    def own(self) -> Mapping[int, int]:
        """The permits of this executor, with the revision of each."""
        return self._own

    @property
    def taken(self) -> Set[int]:
        """Those of all executors."""
        return self._told | self._own.keys()

    def told(self, number: int, *, held: bool, revision: int) -> None:
        """The watch's word, in its order."""
        if held:
            self._told.add(number)
        else:
            self._told.discard(number)
        self._before[number] = revision

    def keep(self, number: int, *, revision: int) -> None:
        """It is ours, or was renewed."""
        self._own[number] = revision

    def drop(self, number: int) -> None:
        """It was given back, or lost."""
        self._own.pop(number, None)

    def spare(self, limit: int) -> int:
        """How many more may be taken, by anybody. A limit that was lowered holds once calls have ended."""
        return max(0, limit - len(self.taken))

    def untaken(self, limit: int) -> list[int]:
        """The numbers to try, lowest first; none while all that the limit allows are taken."""
        taken = self.taken
        return [number for number in range(limit) if number not in taken] if limit > len(taken) else []

    def revision_before(self, number: int) -> int:
        """At which revision an untaken permit's key is believed to stand; 0: it does not exist."""
        return self._before.get(number, 0)


def room_to_fetch(spare: int, *, waiting: int, waiting_in_all: int, most: int) -> int:
    """How many more requests of a provider to fetch, so that those that only wait hold few slots.

    `waiting`: requests here for this provider's permits; `waiting_in_all`: for any provider's; `most`: of these.
    """
    return max(0, min(spare - waiting, most - waiting_in_all))

"""Permits against a server whose changes arrive late: there is never one too many, and in the end all know the same."""

from collections import deque

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from tokenbus_executor.permit_book import PermitBook, room_to_fetch

LIMIT = 3
EXECUTORS = st.integers(0, 2)


class Executors(RuleBasedStateMachine):
    """Three executors and one bucket, which decides by compare and set."""

    def __init__(self) -> None:
        super().__init__()
        self.books = [PermitBook() for _ in range(3)]
        self.news: list[deque[tuple[int, bool, int]]] = [deque() for _ in range(3)]
        self.stored: dict[int, tuple[int | None, int]] = {}
        self.revision = 0

    def write(self, number: int, holder: int | None) -> int:
        self.revision += 1
        self.stored[number] = holder, self.revision
        for line in self.news:
            line.append((number, holder is not None, self.revision))
        return self.revision

    def holder(self, number: int) -> int | None:
        return self.stored.get(number, (None, 0))[0]

    @rule(executor=EXECUTORS, place=st.integers(0, LIMIT))
    def take(self, executor: int, place: int) -> None:
        book = self.books[executor]
        numbers = book.untaken(LIMIT)
        if numbers:
            number = numbers[place % len(numbers)]
            if self.holder(number) is None:
                book.keep(number, revision=self.write(number, executor))

    @rule(executor=EXECUTORS, place=st.integers(0, LIMIT))
    def give_back(self, executor: int, place: int) -> None:
        book = self.books[executor]
        if book.own:
            number = sorted(book.own)[place % len(book.own)]
            if self.stored[number] == (executor, book.own[number]):
                self.write(number, None)
            book.drop(number)

    @rule(number=st.integers(0, LIMIT - 1))
    def expire(self, number: int) -> None:
        holder = self.holder(number)
        if holder is not None:
            self.write(number, None)
            self.books[holder].drop(number)

    @rule(executor=EXECUTORS, count=st.integers(1, 5))
    def hear(self, executor: int, count: int) -> None:
        for _ in range(min(count, len(self.news[executor]))):
            number, held, revision = self.news[executor].popleft()
            self.books[executor].told(number, held=held, revision=revision)

    @invariant()
    def never_one_too_many(self) -> None:
        own = [number for book in self.books for number in book.own]
        assert len(own) == len(set(own)) <= LIMIT
        assert all(number < LIMIT for number in own)

    @invariant()
    def who_has_heard_all_knows_what_is_spare(self) -> None:
        taken = sum(holder is not None for holder, _ in self.stored.values())
        for book, news in zip(self.books, self.news, strict=True):
            if not news:
                assert book.spare(LIMIT) == len(book.untaken(LIMIT)) == LIMIT - taken
                assert all(book.revision_before(number) == revision for number, (_, revision) in self.stored.items())


TestExecutors = Executors.TestCase


@given(taken=st.sets(st.integers(0, 9)), limit=st.integers(1, 10))
def test_a_lowered_limit_gives_no_permit_until_enough_have_come_back(taken: set[int], limit: int) -> None:
    book = PermitBook()
    for number in taken:
        book.told(number, held=True, revision=number + 1)
    assert book.spare(limit) == max(0, limit - len(taken))
    assert bool(book.untaken(limit)) == (len(taken) < limit)
    assert all(number < limit for number in book.untaken(limit))


@given(*[st.integers(0, 20)] * 4)
def test_nothing_is_fetched_for_a_line_that_is_long_enough(spare: int, waiting: int, others: int, most: int) -> None:
    room = room_to_fetch(spare, waiting=waiting, waiting_in_all=waiting + others, most=most)
    assert room >= 0
    assert room == 0 or room + waiting <= spare
    assert room == 0 or room + waiting + others <= most

"""What `Bus` does with the messages of streams: store with an acknowledgement, read back, delete."""

import asyncio
import math
import random
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime
from typing import Final, TypeVar

from pydantic import BaseModel

from tokenbus.bus_core import CoreBus, Message
from tokenbus.errors import BusError, BusRefusedError, BusTimeoutError, NoRespondersError, NoStreamError, NotFoundError
from tokenbus.jetstream_api import ApiAnswer, ApiError, MessageAnswer, PublishAnswer, api_error, is_passing
from tokenbus.stored import StoredAck, StoredMessage, StoredPage, parse_stored

MESSAGE_ID: Final = "Nats-Msg-Id"
EXPECTED_SEQUENCE: Final = "Nats-Expected-Last-Subject-Sequence"
TTL: Final = "Nats-TTL"

_RETRY_WAIT_S: Final = 0.1
_STATUS: Final = "Status"
_NO_RESPONDERS: Final = "503"
_END_OF_BATCH: Final = "204"
_NOTHING_FOUND: Final = "404"

AnswerT = TypeVar("AnswerT", bound=ApiAnswer)


class _LastRequest(BaseModel):
    last_by_subj: str


class _BatchRequest(BaseModel):
    batch: int
    next_by_subj: str
    seq: int
    max_bytes: int


class _DeleteRequest(BaseModel):
    seq: int
    no_erase: bool = True


class StoredBus(CoreBus):
    """Adds stored messages to `CoreBus`.

    All times are per call. A call that JetStream does not answer, or says it can not for the moment, counts against the
    server: after `BusOptions.stalled_after` in a row (and `stalled_for_s`) the connection moves to another one, where
    there is one. `stall.py` has the rules.
    """

    async def probe(self, *, timeout_s: float) -> None:
        """Ask whether the server's JetStream has a leader, for those who have nothing else to ask it.

        A node that lost its cluster takes 10 to 15 s to know it. Raises `NoStreamError`, `BusTimeoutError`, or
        `BusRefusedError`: it has none.
        """
        await self.api("INFO", None, ApiAnswer, timeout_s=timeout_s)

    async def publish_stored(
        self,
        subject: str,
        payload: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        message_id: str | None = None,
        expected_last_subject_sequence: int | None = None,
        ttl_s: float | None = None,
        timeout_s: float = 2.0,
        retry_for_s: float = 0.0,
    ) -> StoredAck:
        """Returns when the stream has the message.

        `message_id`: the stream keeps one message per id within its duplicate window. `expected_last_subject_sequence`:
        stored only if the last message on the subject has this sequence (0: there is none). `ttl_s`: how long it is
        kept, rounded up to whole seconds; needs a stream with `message_ttl`.

        `timeout_s` is for one try. For `retry_for_s` seconds more the message is sent again when the server says that
        nothing was stored and may be soon (no leader just now), and also after an unanswered try, if `message_id` or
        `expected_last_subject_sequence` makes that safe. With the latter, `WrongLastSequenceError` may then mean that
        the unanswered try had won: read the last message.

        Raises `NoStreamError`, `StreamFullError`, `WrongLastSequenceError`, other `BusRefusedError`, `BusTimeoutError`
        (it may have been stored), and what `publish` raises.
        """
        sent = dict(headers or {})
        if message_id is not None:
            sent[MESSAGE_ID] = message_id
        if expected_last_subject_sequence is not None:
            sent[EXPECTED_SEQUENCE] = str(expected_last_subject_sequence)
        if ttl_s is not None:
            sent[TTL] = f"{max(1, math.ceil(ttl_s))}s"
        may_repeat = message_id is not None or expected_last_subject_sequence is not None
        deadline = asyncio.get_running_loop().time() + retry_for_s
        while True:
            try:
                return await self._publish_once(subject, payload, headers=sent or None, timeout_s=timeout_s)
            except BusError as error:
                if asyncio.get_running_loop().time() >= deadline or not _worth_repeating(error, may_repeat=may_repeat):
                    raise
            await asyncio.sleep(_RETRY_WAIT_S * random.uniform(0.5, 1.5))  # noqa: S311 - jitter

    async def last_message(self, stream: str, subject: str, *, timeout_s: float = 2.0) -> StoredMessage | None:
        """The newest message on `subject`, which may have wildcards. Needs a stream with `allow_direct`.

        In a cluster any replica answers, and may be a moment behind. Raises `NoStreamError`, `BusTimeoutError`.
        """
        return await self._direct_get(stream, _LastRequest(last_by_subj=subject), timeout_s=timeout_s)

    async def last_message_at_leader(
        self, stream: str, subject: str, *, timeout_s: float = 2.0
    ) -> StoredMessage | None:
        """The same from the stream's leader: slower, but it has every message that was acknowledged.

        Raises `NoStreamError`, `NotFoundError` for the stream, `BusTimeoutError`.
        """
        body = _LastRequest(last_by_subj=subject)
        try:
            answer = await self.api(f"STREAM.MSG.GET.{stream}", body, MessageAnswer, timeout_s=timeout_s)
        except NotFoundError as error:
            if error.description == "no message found":
                return None
            raise
        if answer.message is None:
            return None
        found = answer.message
        return StoredMessage(
            subject=found.subject,
            sequence=found.seq,
            timestamp_s=datetime.fromisoformat(found.time).timestamp(),
            headers=_parse_header_block(b64decode(found.hdrs)),
            data=b64decode(found.data),
        )

    async def read_stored(
        self,
        stream: str,
        subject_filter: str,
        *,
        start_sequence: int = 1,
        batch: int = 256,
        max_bytes: int = 8 * 1024 * 1024,
        timeout_s: float = 5.0,
    ) -> StoredPage:
        """Messages on `subject_filter` from `start_sequence` on: at most `batch` of them and about `max_bytes`.

        Go on at `next_sequence` while `remaining` is not 0. Needs a stream with `allow_direct`; no consumer is made.
        Source: ADR-31, batched requests. Raises `NoStreamError`, `BusRefusedError`, `BusTimeoutError`.
        """
        api_subject = f"$JS.API.DIRECT.GET.{stream}"
        messages: list[StoredMessage] = []
        ended: asyncio.Future[Message] = asyncio.get_running_loop().create_future()

        def collect(message: Message) -> None:
            if _STATUS not in message.headers:
                messages.append(parse_stored(message.data, message.headers))
            elif not ended.done():
                ended.set_result(message)

        body = _BatchRequest(batch=batch, next_by_subj=subject_filter, seq=start_sequence, max_bytes=max_bytes)
        inbox = self.new_inbox()
        subscription = await self.subscribe(inbox, collect)
        try:
            async with asyncio.timeout(timeout_s):
                await self.publish(api_subject, body.model_dump_json().encode(), reply=inbox)
                end = await ended
        except TimeoutError as error:
            await self.unanswered()
            raise BusTimeoutError(f"read from {stream}", timeout_s=timeout_s) from error
        finally:
            await subscription.unsubscribe()
        status = end.headers[_STATUS]
        if status == _NO_RESPONDERS:
            raise await self._no_stream(api_subject)
        if status == _END_OF_BATCH:
            return StoredPage(messages, int(end.headers.get("Nats-Num-Pending", "0")))
        if status == _NOTHING_FOUND:
            return StoredPage(messages, 0)
        raise BusRefusedError(f"read from {stream}", code=0, description=end.headers.get("Description", status))

    async def delete_message(self, stream: str, sequence: int, *, timeout_s: float = 2.0) -> bool:
        """Whether it was there. Raises `NoStreamError`, `NotFoundError` for the stream, `BusTimeoutError`."""
        try:
            await self.api(f"STREAM.MSG.DELETE.{stream}", _DeleteRequest(seq=sequence), ApiAnswer, timeout_s=timeout_s)
        except BusRefusedError as error:
            if error.description == "no message found":
                return False
            raise
        return True

    async def api(self, verb: str, body: BaseModel | None, answer: type[AnswerT], *, timeout_s: float) -> AnswerT:
        """One call of the JetStream API, `$JS.API.<verb>`, its answer checked. For this package's bus files.

        Raises `NoStreamError`, `BusTimeoutError`, `BusRefusedError` and its subclasses.
        """
        payload = b"" if body is None else body.model_dump_json(exclude_none=True).encode()
        reply = await self._ask(f"$JS.API.{verb}", payload, timeout_s=timeout_s)
        parsed = answer.model_validate_json(reply.data)
        if parsed.error is not None:
            raise await self._refusal(parsed.error, operation=verb)
        return parsed

    async def _publish_once(
        self, subject: str, payload: bytes, *, headers: Mapping[str, str] | None, timeout_s: float
    ) -> StoredAck:
        reply = await self._ask(subject, payload, headers=headers, timeout_s=timeout_s)
        answer = PublishAnswer.model_validate_json(reply.data)
        if answer.error is not None:
            raise await self._refusal(answer.error, operation=f"publish to {subject}")
        self.answered()
        return StoredAck(answer.stream, answer.seq, answer.duplicate)

    async def _direct_get(self, stream: str, body: BaseModel, *, timeout_s: float) -> StoredMessage | None:
        reply = await self._ask(f"$JS.API.DIRECT.GET.{stream}", body.model_dump_json().encode(), timeout_s=timeout_s)
        status = reply.headers.get(_STATUS)
        if status == _NOTHING_FOUND:
            return None
        if status is not None:
            raise BusRefusedError(f"read from {stream}", code=0, description=reply.headers.get("Description", status))
        return parse_stored(reply.data, reply.headers)

    async def _ask(
        self, subject: str, payload: bytes, *, headers: Mapping[str, str] | None = None, timeout_s: float
    ) -> Message:
        """A request to JetStream; counts those it did not answer."""
        try:
            reply = await self.request(subject, payload, headers=headers, timeout_s=timeout_s)
        except NoRespondersError as error:
            raise await self._no_stream(subject) from error
        except BusTimeoutError:
            await self.unanswered()
            raise
        return reply

    async def _no_stream(self, subject: str) -> NoStreamError:
        await self.unanswered()
        return NoStreamError(subject)

    async def _refusal(self, error: ApiError, *, operation: str) -> BusRefusedError:
        refusal = api_error(error, operation=operation)
        if is_passing(refusal):
            await self.unanswered()
        return refusal


def _worth_repeating(error: BusError, *, may_repeat: bool) -> bool:
    match error:
        case NoStreamError():
            return True
        case BusTimeoutError():
            return may_repeat
        case BusRefusedError():
            return is_passing(error)
        case _:
            return False


def _parse_header_block(block: bytes) -> dict[str, str]:
    lines = (line.partition(": ") for line in block.decode().split("\r\n")[1:])
    return {name: value for name, colon, value in lines if colon}

"""The permit of one answer."""

from tokenbus_executor.permits import Permit, Permits


class Holding:
    """One permit at most, kept from round to round while tools run: an answer that has begun never waits for others."""

    def __init__(self, permits: Permits) -> None:
        self._permits = permits
        self._permit: Permit | None = None

    def would_wait(self, provider: str) -> bool:
        """Whether `take` would."""
        return not self._has(provider) and self._permits.is_full(provider)

    async def take(self, provider: str) -> None:
        """Returns when the provider may be called. Raises `BusError`."""
        if not self._has(provider):
            self.release()
            self._permit = await self._permits.take(provider)

    def release(self) -> None:
        """The provider is not called any more, for now."""
        if self._permit is not None:
            self._permits.give_back(self._permit)
            self._permit = None

    def _has(self, provider: str) -> bool:
        return self._permit is not None and self._permit.provider == provider

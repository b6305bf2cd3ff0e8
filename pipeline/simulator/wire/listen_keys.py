"""Listen keys: one active key an account, alive for an hour unless renewed. Pure: the time is passed in."""

from dataclasses import dataclass
from random import Random

from pipeline.simulator.errors import ApiError
from pipeline.timeline import DAY, HOUR

ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
LENGTH = 64
FOREVER = 1_000 * 365 * DAY


@dataclass(slots=True)
class _Lease:
    key: str
    until: int


class ListenKeys:
    """Who listens to what. The same key is given as long as it lives; a renewal prolongs it."""

    def __init__(self, seed: int | str, life: int = HOUR) -> None:
        self._random = Random(f"listen keys {seed}")
        self._life = life
        self._leases: dict[str, _Lease] = {}

    def issue(self, account: str, now: int) -> str:
        """The account's key, prolonged, or a new one."""
        lease = self._leases.get(account)
        if lease is None or lease.until <= now:
            lease = _Lease("".join(self._random.choices(ALPHABET, k=LENGTH)), now)
            self._leases[account] = lease
        lease.until = now + self._life
        return lease.key

    def renew(self, account: str, now: int) -> str:
        """Prolong the account's key: -1125 where it has none."""
        if self.active(account, now) is None:
            raise ApiError(-1125, "This listenKey does not exist.")
        return self.issue(account, now)

    def revoke(self, account: str) -> None:
        """End the key for everyone who listens to it."""
        self._leases.pop(account, None)

    def active(self, account: str, now: int) -> str | None:
        """The account's key, if it is alive."""
        lease = self._leases.get(account)
        return lease.key if lease and lease.until > now else None

    def collect_expired(self, now: int) -> list[str]:
        """Forget the keys whose time is over and return them, so that their listeners can be told."""
        over = {account: lease.key for account, lease in self._leases.items() if lease.until <= now}
        for account in over:
            del self._leases[account]
        return list(over.values())

    def expire_all(self) -> None:
        """Let every key's time be over."""
        for lease in self._leases.values():
            lease.until = 0

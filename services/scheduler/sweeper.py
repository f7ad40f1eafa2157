"""Has TaskState end what is over: attempts whose holder is gone, graces and stop requests past their deadline.

The sweep itself happens in TaskState, which judges every task again in its place in the one order, so a task that came
back in time is spared and two sweepers at once end nothing twice. All that is left to do here is to ask, every second,
because time passing is no event that TaskState would see by itself.
"""

from dataclasses import dataclass

from taskstate.v1 import maintenance_service_pb2 as pb

from services.scheduler.maintenance import Maintenance


@dataclass(frozen=True, kw_only=True)
class SweepResult:
    """What one run did: attempts ended as ``lost``, or lost and ``retrying``; tasks ``cancelled`` without confirmation;
    slots ``given_up`` by processes that nobody will see go; ``spared`` tasks that were due when listed and came back.
    """

    lost: int = 0
    retrying: int = 0
    cancelled: int = 0
    given_up: int = 0
    spared: int = 0

    @property
    def found_work(self) -> bool:
        """Whether to sweep again at once: a run ends at most 200 tasks. The spared are no work, or they would spin us."""
        return any((self.lost, self.retrying, self.cancelled, self.given_up))


class Sweeper:
    """The background service that asks for sweeps."""

    def __init__(self, maintenance: Maintenance) -> None:
        self._maintenance = maintenance

    async def run_once(self) -> SweepResult:
        """Ends what is over now, at most 200 tasks. Safe to cancel. Raises DependencyAwayError for TaskState."""
        answer = await self._maintenance.call("ApplySweep", pb.ApplySweepRequest())
        return SweepResult(
            lost=answer.lost_count,
            retrying=answer.retrying_count,
            cancelled=answer.cancelled_count,
            given_up=answer.given_up_count,
            spared=answer.spared_count,
        )

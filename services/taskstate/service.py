"""The service composed: what runs in one replica, in which order it starts, and how it stops."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from dataclasses import replace

from grpc_health.v1 import health
from taskstate.v1 import maintenance_service_pb2, task_service_pb2, worker_service_pb2
from taskstate.v1.maintenance_service_pb2_grpc import add_MaintenanceServiceServicer_to_server
from taskstate.v1.task_service_pb2_grpc import add_TaskServiceServicer_to_server
from taskstate.v1.worker_service_pb2_grpc import add_WorkerServiceServicer_to_server

from services.runtime import serving
from services.taskstate.api.interceptors import ErrorInterceptor
from services.taskstate.api.maintenance_service import MaintenanceServicer
from services.taskstate.api.session import SessionTimes
from services.taskstate.api.task_service import TaskServicer
from services.taskstate.api.worker_service import WorkerServicer
from services.taskstate.database import Database, DatabaseUnavailable
from services.taskstate.dispatching import Dispatching
from services.taskstate.feed import Feed
from services.taskstate.leases import Leases, new_identity
from services.taskstate.listener import Listener
from services.taskstate.migrations.run import current_migration, newest_migration
from services.taskstate.pipeline import Pipeline, PipelineSettings
from services.taskstate.reads import Reads
from services.taskstate.records import Records
from services.taskstate.settings import TaskStateSettings
from services.taskstate.store.engine import open_engine
from services.taskstate.sweeping import Sweeping

log = logging.getLogger(__name__)

SERVICES = (
    task_service_pb2.DESCRIPTOR.services_by_name["TaskService"].full_name,
    worker_service_pb2.DESCRIPTOR.services_by_name["WorkerService"].full_name,
    maintenance_service_pb2.DESCRIPTOR.services_by_name["MaintenanceService"].full_name,
)
READINESS_S = 1.0


class Replica:
    """One replica of TaskState."""

    def __init__(self, settings: TaskStateSettings) -> None:
        self.settings = settings
        self.database = Database(settings.database_url, "taskstate reads", settings.database_pool_size)
        # Behind a crowd of readers (2,000 watches that reconnect at once) the lease would lapse: one connection each for the
        # lease, the feed and the readiness check.
        self.vital = Database(settings.database_url, "taskstate vital", 3)
        self.leases = Leases(self.vital, new_identity(), settings.lease_ttl_seconds)
        self.replica_id = self.leases.replica.replica_id
        self.feed = Feed(self.vital)
        self.pipeline = Pipeline(
            open_engine(settings.database_url, "taskstate pipeline", 1),
            self.replica_id,
            settings.limits,
            self.feed.publish,
            replace(PipelineSettings(), batch_max=settings.batch_max),
        )
        self.listener = Listener(settings.database_url, self.database, self.feed.hint)
        reads = Reads(self.database)
        self.tasks = TaskServicer(self.pipeline, self.database, reads, self.feed, settings.watches_max)
        self.workers = WorkerServicer(
            self.pipeline,
            reads,
            Records(self.database),
            self.feed,
            self.replica_id,
            SessionTimes(settings.heartbeat_interval_seconds, settings.lease_ttl_seconds),
            settings.stream_grace_seconds,
            settings.sessions_max,
        )
        self.maintenance = MaintenanceServicer(
            Dispatching(self.database, self.pipeline, self.feed, settings.limits),
            Sweeping(self.database, self.pipeline, self.replica_id),
        )
        self.ready = False
        self._why_not_ready = ""

    async def check_ready(self) -> bool:
        """Whether this replica can do its work: the database answers with the right migration, and the lease is held."""
        try:
            found = await self.vital.read(current_migration)
        except DatabaseUnavailable as error:
            why = f"the database does not answer: {error}"
        else:
            wanted = newest_migration()
            why = "" if found == wanted else f"the database is at migration {found}, this version needs {wanted}"
            if not why and not self.leases.held:
                why = "the lease could not be renewed"
        self._tell(why)
        return not why

    def _tell(self, why: str) -> None:
        """Log a change of readiness, once a change."""
        if why and why != self._why_not_ready:
            log.warning("not ready: %s", why.splitlines()[0], extra={"event": "not_ready"})
        if not why and not self.ready:
            log.info("ready", extra={"event": "ready", "replica_id": self.replica_id})
        self._why_not_ready = why
        self.ready = not why

    async def run_readiness(self, servicer: health.aio.HealthServicer) -> None:
        """Start working once the database is right, then keep health true, until cancelled."""
        while not await self._prepared():  # noqa: ASYNC110  # Nothing tells when another server's database is there.
            await asyncio.sleep(READINESS_S / 4)
        async with asyncio.TaskGroup() as group:
            group.create_task(self.feed.run())
            group.create_task(self.leases.run())
            group.create_task(self.listener.run())
            group.create_task(self.workers.run_orders())
            await self.feed.ready()
            while True:
                ready = await self.check_ready()
                if not self.leases.held:
                    # This replica cannot vouch for its streams; another may.
                    self.workers.end_all()
                await serving.set_health(servicer, SERVICES, serving=ready)
                await asyncio.sleep(READINESS_S)

    async def _prepared(self) -> bool:
        """Whether the database is there and right, so that the replica's rows could be made."""
        try:
            found = await self.database.read(current_migration)
            if found != newest_migration():
                self._tell(f"the database is at migration {found}, this version needs {newest_migration()}")
                return False
            await self.leases.register()
        except DatabaseUnavailable as error:
            self._tell(f"the database does not answer: {error}")
            return False
        return True

    async def stop(self) -> None:
        """End what runs: streams first, then the pipeline with what waits in it, then the lease."""
        self.feed.close()
        await self.workers.drain()

    async def close(self) -> None:
        """After the server has stopped: finish the pipeline, end the lease, close the connections."""
        self.workers.close()
        await self.pipeline.stop()
        await self.leases.retire()
        await asyncio.to_thread(self.database.close)
        await asyncio.to_thread(self.vital.close)
        await asyncio.to_thread(self.pipeline.engine.dispose)


async def serve(settings: TaskStateSettings) -> int:
    """Serve until SIGTERM or SIGINT; answers the exit code."""
    stop = serving.install_stop_event(asyncio.get_running_loop())
    replica = Replica(settings)
    server = serving.new_grpc_server((ErrorInterceptor(),))
    add_TaskServiceServicer_to_server(replica.tasks, server)
    add_WorkerServiceServicer_to_server(replica.workers, server)
    add_MaintenanceServiceServicer_to_server(replica.maintenance, server)
    servicer = await serving.add_health_and_reflection(server, SERVICES)
    port = serving.bind(server, settings.bind_host, settings.grpc_port)
    replica.pipeline.start()
    await server.start()
    serving.announce_listening(port, replica_id=replica.replica_id)
    readiness = asyncio.create_task(replica.run_readiness(servicer))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((stopping, readiness), return_when=asyncio.FIRST_COMPLETED)
    failed = readiness.done()
    await serving.set_health(servicer, SERVICES, serving=False)
    await replica.stop()
    await server.stop(settings.drain_grace_seconds)
    readiness.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await readiness
    await replica.close()
    log.info("stopped", extra={"event": "stopped"})
    return 1 if failed else 0

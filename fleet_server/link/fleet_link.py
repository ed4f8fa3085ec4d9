"""The server's own MQTT connection: takes messages in, acknowledges after the commit, sends the outbox; reconnects by itself."""

import asyncio
import logging
from concurrent.futures import Future
from functools import partial

import aiomqtt

from contract.codec import encode
from contract.errors import InvalidNameError
from contract.messages import Ack
from contract.topics import RETAINED, Channel, build_topic, parse_topic, qos_of, server_filters
from fleet_server.broker.settings import BrokerAddress
from fleet_server.devices.commands import send_to_all
from fleet_server.devices.desired import Director
from fleet_server.link.ingest import Committed, take_in
from fleet_server.link.outbox import Waiting, list_waiting, remove_sent
from fleet_server.store.database import Change, Database
from fleet_server.times import Clock

_LOG = logging.getLogger(__name__)
PENDING_MAX = 2000
QUEUE_MAX = 20_000
RETRY_FIRST_S, RETRY_MAX_S = 0.1, 5.0


class FleetLink:
    """Run it as one task; `connected` is set while the broker answers."""

    def __init__(self, database: Database, director: Director, address: BrokerAddress, clock: Clock) -> None:
        self.connected = asyncio.Event()
        self._database = database
        self._director = director
        self._address = address
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._outbox_changed = asyncio.Event()
        self._acks: dict[tuple[str, str], int] = {}
        self._acks_changed = asyncio.Event()
        self._pending = asyncio.Semaphore(PENDING_MAX)
        database.listen(Change.OUTBOX, lambda: self._wake(self._outbox_changed))

    def _wake(self, changed: asyncio.Event) -> None:
        self._loop.call_soon_threadsafe(changed.set)

    async def run(self) -> None:
        """Connect, work, and connect again until cancelled."""
        delay = RETRY_FIRST_S
        while True:
            try:
                async with self._client() as client:
                    delay = RETRY_FIRST_S
                    await self._work(client)
            except aiomqtt.MqttError as error:
                _LOG.warning("The link to the broker %s is down: %s", self._address.url, error)
            finally:
                self.connected.clear()
            await asyncio.sleep(delay)
            delay = min(2 * delay, RETRY_MAX_S)

    def _client(self) -> aiomqtt.Client:
        return aiomqtt.Client(
            self._address.host,
            self._address.port,
            username=self._address.username,
            password=self._address.password,
            identifier=f"eyelet-server-{self._director.fleet}",
            protocol=aiomqtt.ProtocolVersion.V5,
            clean_start=True,
            keepalive=20,
            tls_context=self._address.ssl_context(),
            max_queued_incoming_messages=QUEUE_MAX,
            logger=_LOG.getChild("mqtt"),
        )

    async def _work(self, client: aiomqtt.Client) -> None:
        for topic_filter in server_filters(self._director.fleet):
            await client.subscribe(topic_filter, qos=1)
        _LOG.info("The link to the broker %s is up", self._address.url)
        await self._database.write_async(partial(send_to_all, now=self._clock()))
        self._outbox_changed.set()
        self.connected.set()
        works = {"link-receive": self._receive(client), "link-outbox": self._send_outbox(client), "link-acks": self._send_acks(client)}
        tasks = [asyncio.create_task(work, name=name) for name, work in works.items()]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _receive(self, client: aiomqtt.Client) -> None:
        async for message in client.messages:
            try:
                topic = parse_topic(str(message.topic))
            except InvalidNameError as error:
                _LOG.warning("A message is dropped: %s", error)
                continue
            payload = message.payload if isinstance(message.payload, bytes) else b""
            if topic.channel in RETAINED and not payload:
                continue  # a retained message was cleared
            await self._pending.acquire()
            work = partial(take_in, director=self._director, topic=topic, payload=payload, now=self._clock())
            self._database.submit(work).add_done_callback(self._after_commit)

    def _after_commit(self, future: "Future[Committed | None]") -> None:
        """Runs in the writer's thread."""
        try:
            self._loop.call_soon_threadsafe(self._committed, future)
        except RuntimeError:  # the event loop has ended; the device sends again what was not acknowledged
            _LOG.debug("a commit came after the end of the link")

    def _committed(self, future: "Future[Committed | None]") -> None:
        self._pending.release()
        error = future.exception()
        if error is not None:
            _LOG.error("A message could not be stored and is not acknowledged: %s", error)
        elif (committed := future.result()) is not None:
            key = (committed.device, committed.stream)
            self._acks[key] = max(committed.upto, self._acks.get(key, 0))
            self._acks_changed.set()

    async def _send_acks(self, client: aiomqtt.Client) -> None:
        while True:
            await self._acks_changed.wait()
            self._acks_changed.clear()
            acks, self._acks = self._acks, {}
            for (device, stream), upto in acks.items():
                topic = build_topic(self._director.fleet, device, Channel.ACK)
                await client.publish(topic, encode(Ack(Ack.SCHEMA_VERSION, stream, upto)), qos=0)

    async def _send_outbox(self, client: aiomqtt.Client) -> None:
        while True:
            await self._outbox_changed.wait()
            self._outbox_changed.clear()
            while waiting := await self._database.read_async(list_waiting):
                await asyncio.gather(*(self._send(client, message) for message in waiting))
                await self._database.write_async(partial(remove_sent, ids=[message.id for message in waiting]))

    async def _send(self, client: aiomqtt.Client, message: Waiting) -> None:
        topic = build_topic(self._director.fleet, message.device, message.channel)
        await client.publish(topic, message.payload, qos=qos_of(message.channel), retain=message.channel in RETAINED)

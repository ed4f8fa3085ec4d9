"""Routes of field samples: devices send them as the answer to a command, operators list, fetch and delete them."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from functools import partial
from typing import Annotated, Any

from litestar import Request, Response, Router, delete, get, put
from litestar.params import FromPath, FromQuery, QueryParameter
from sqlalchemy.exc import OperationalError

from contract.samples import LINE_MAX_BYTES, SAMPLE_MAX_BYTES, SampleView, SentSample, UploadState, split_sample
from fleet_server.api.floor import Floor
from fleet_server.api.guards import take_device, take_operator
from fleet_server.errors import FullError, TimedOutError, TooManyError
from fleet_server.samples.intake import Arrival, take_sample, view_upload
from fleet_server.samples.listing import SampleQuery, delete_sample, get_sample, list_samples, remove_unused

AnyRequest = Request[Any, Any, Any]
BODY_S = 300.0
BODY_MAX_BYTES = SAMPLE_MAX_BYTES + LINE_MAX_BYTES + 1
Limit = Annotated[int, QueryParameter(ge=1, le=1000)]
After = Annotated[int, QueryParameter(ge=0)]
BelowScore = Annotated[float, QueryParameter(ge=0)]


@get("/v1/uploads/{command_id:str}", summary="How far the upload for a command has come")
async def show_upload(request: AnyRequest, command_id: FromPath[str]) -> UploadState:
    """What the server has of it, and what it still takes."""
    floor, device = take_device(request)
    return await floor.read(view_upload, device, command_id, floor.clock())


@put(
    "/v1/uploads/{command_id:str}/{sha256:str}",
    status_code=200,
    request_max_body_size=BODY_MAX_BYTES,
    summary="Send a field sample",
)
async def put_sample(request: AnyRequest, command_id: FromPath[str], sha256: FromPath[str]) -> UploadState:
    """The body: its line as JSON, a line break, its data. Answered once file and row are on the disk; sending again is harmless."""
    floor, device = take_device(request)
    await floor.read(view_upload, device, command_id, floor.clock())  # before the body is read
    async with _turn(floor, device):
        sample = split_sample(await _read_body(request), sha256)
        try:
            return await asyncio.to_thread(_store, floor, (device, command_id), sample)
        except (OSError, OperationalError) as error:
            raise FullError(f"the server can not write the sample: {error}", "Is its disk full? The device keeps the sample.") from error


@contextlib.asynccontextmanager
async def _turn(floor: Floor, device: str) -> AsyncIterator[None]:
    """One of the few bodies that may be in memory, and the only one of this device, so that slow devices do not hold up the others."""
    if device in floor.uploading:
        raise TooManyError("another sample of this device is on its way", "Send one after the other.")
    floor.uploading.add(device)
    try:
        async with floor.uploads:
            yield
    finally:
        floor.uploading.discard(device)


async def _read_body(request: AnyRequest) -> bytes:
    try:
        async with asyncio.timeout(BODY_S):
            return await request.body()
    except TimeoutError as error:
        raise TimedOutError(f"the sample did not come whole within {BODY_S:g} s", "Send it again.") from error


def _store(floor: Floor, whose: tuple[str, str], sample: SentSample) -> UploadState:
    with floor.samples.written(sample.data) as temporary:
        arrival = Arrival(*whose, sample, temporary)
        work = partial(take_sample, files=floor.samples, limits=floor.sample_limits, arrival=arrival, now=floor.clock())
        return floor.database.write(work)


@get("/v1/samples", summary="Field samples after an id")
async def show_samples(  # noqa: PLR0917  (each is one filter of the query)
    request: AnyRequest,
    device: FromQuery[str] = "",
    application: FromQuery[str] = "",
    model: FromQuery[str] = "",
    label: FromQuery[str] = "",
    reason: FromQuery[str] = "",
    command_id: FromQuery[str] = "",
    below_score: BelowScore = 0.0,
    after: After = 0,
    limit: Limit = 200,
) -> list[SampleView]:
    """Samples in the order in which they came; `label` is what the model said."""
    query = SampleQuery(device, application, model, label, reason, command_id, below_score)
    return await take_operator(request).read(list_samples, query, after, limit)


@get("/v1/samples/{sample_id:int}/data", summary="The data of a field sample", media_type="application/octet-stream")
async def show_data(request: AnyRequest, sample_id: FromPath[int]) -> Response[bytes]:
    """The file as the device kept it: PNG or npz."""
    floor = take_operator(request)
    view = await floor.read(get_sample, sample_id)
    data = await asyncio.to_thread(floor.samples.read, view.sha256)
    headers = {"x-content-type-options": "nosniff", "content-disposition": "attachment"}
    return Response(data, media_type="application/octet-stream", headers=headers)


@delete("/v1/samples/{sample_id:int}", status_code=200, summary="Delete a field sample")
async def remove_sample(request: AnyRequest, sample_id: FromPath[int]) -> SampleView:
    """Its file goes too, unless another device sent the same."""
    floor = take_operator(request)
    view = await floor.write(delete_sample, sample_id, floor.clock())
    await floor.write(remove_unused, floor.samples, [view.sha256])
    return view


SAMPLE_ROUTES = Router("/", route_handlers=[show_upload, put_sample, show_samples, show_data, remove_sample], tags=["samples"])

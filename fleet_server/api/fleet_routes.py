"""Routes of the operator: devices, models, rollouts, events, windows, audit."""

from typing import Annotated, Any

from litestar import Request, Router, get, post, put
from litestar.params import Body, FromPath, FromQuery, QueryParameter

from contract.rest import (
    AliasRequest,
    AuditEntry,
    DeviceView,
    EventPage,
    ModelView,
    RolloutAction,
    RolloutSpec,
    RolloutView,
    WindowView,
)
from fleet_server.api.guards import take_operator
from fleet_server.audit import list_entries
from fleet_server.conductor.actions import act
from fleet_server.conductor.planning import create_rollout
from fleet_server.conductor.views import list_rollouts, view_rollout
from fleet_server.devices.directory import get_device, list_devices
from fleet_server.devices.enrolment import revoke
from fleet_server.registry.lookup import get_model, list_models, set_alias
from fleet_server.telemetry import list_events, list_windows

AnyRequest = Request[Any, Any, Any]
Limit = Annotated[int, QueryParameter(ge=1, le=1000)]
After = Annotated[int, QueryParameter(ge=0)]


@get("/v1/devices", summary="All devices")
async def show_devices(request: AnyRequest) -> list[DeviceView]:
    """Every enrolled device."""
    floor = take_operator(request)
    return await floor.read(list_devices, floor.fleet)


@get("/v1/devices/{device:str}", summary="One device")
async def show_device(request: AnyRequest, device: FromPath[str]) -> DeviceView:
    """One device."""
    floor = take_operator(request)
    return await floor.read(get_device, floor.fleet, device)


@post("/v1/devices/{device:str}/revoke", status_code=200, summary="Take a device's credentials away")
async def revoke_device(request: AnyRequest, device: FromPath[str]) -> DeviceView:
    """Revoke a device and cut its connection."""
    floor = take_operator(request)
    await floor.write(revoke, device, floor.clock())
    await floor.expel(device)
    return await floor.read(get_device, floor.fleet, device)


@get("/v1/models", summary="All registered models")
async def show_models(request: AnyRequest) -> list[ModelView]:
    """Every registered model with its versions."""
    return await take_operator(request).read(list_models)


@get("/v1/models/{model:str}", summary="One registered model")
async def show_model(request: AnyRequest, model: FromPath[str]) -> ModelView:
    """One registered model."""
    return await take_operator(request).read(get_model, model)


@put("/v1/models/{model:str}/aliases/{alias:str}", summary="Point an alias at a version")
async def put_alias(request: AnyRequest, model: FromPath[str], alias: FromPath[str], data: Annotated[AliasRequest, Body()]) -> ModelView:
    """Point an alias (champion, candidate) at a version."""
    floor = take_operator(request)
    return await floor.write(set_alias, model, alias, data.version, floor.clock())


@post("/v1/rollouts", status_code=201, summary="Create a rollout")
async def post_rollout(request: AnyRequest, data: Annotated[RolloutSpec, Body()]) -> RolloutView:
    """Create a rollout and, unless the spec says otherwise, start it."""
    floor = take_operator(request)
    rollout = await floor.write(create_rollout, floor.conduct, data)
    return await floor.read(view_rollout, rollout, floor.clock())


@get("/v1/rollouts", summary="The newest rollouts")
async def show_rollouts(request: AnyRequest) -> list[RolloutView]:
    """The newest rollouts, newest first."""
    floor = take_operator(request)
    return await floor.read(list_rollouts, floor.clock())


@get("/v1/rollouts/{rollout:str}", summary="One rollout")
async def show_rollout(request: AnyRequest, rollout: FromPath[str]) -> RolloutView:
    """One rollout."""
    floor = take_operator(request)
    return await floor.read(view_rollout, rollout, floor.clock())


@post("/v1/rollouts/{rollout:str}/{action:str}", status_code=200, summary="Act on a rollout")
async def act_on_rollout(
    request: AnyRequest, rollout: FromPath[str], action: FromPath[str], data: Annotated[RolloutAction, Body()]
) -> RolloutView:
    """Approve, start, pause, resume, abort or roll back; 409 when the rollout has moved on."""
    floor = take_operator(request)
    await floor.write(act, floor.conduct, rollout, action, data)
    return await floor.read(view_rollout, rollout, floor.clock())


@get("/v1/events", summary="Events after an id")
async def show_events(
    request: AnyRequest, after: After = 0, device: FromQuery[str] = "", limit: Limit = 200, newest: FromQuery[bool] = False
) -> EventPage:
    """Events in the server's order; with `newest` the last `limit` ones instead of the first."""
    return await take_operator(request).read(list_events, after, device, limit, newest=newest)


@get("/v1/windows", summary="Windows after an id")
async def show_windows(
    request: AnyRequest, device: FromQuery[str] = "", rollout: FromQuery[str] = "", after: After = 0, limit: Limit = 200
) -> list[WindowView]:
    """Windows in the server's order."""
    return await take_operator(request).read(list_windows, after, device, rollout, limit)


@get("/v1/audit", summary="The newest entries of the audit trail")
async def show_audit(request: AnyRequest, limit: Limit = 100) -> list[AuditEntry]:
    """Who did what and when, newest first."""
    return await take_operator(request).read(list_entries, limit)


FLEET_ROUTES = Router(
    "/",
    route_handlers=[
        show_devices,
        show_device,
        revoke_device,
        show_models,
        show_model,
        put_alias,
        post_rollout,
        show_rollouts,
        show_rollout,
        act_on_rollout,
        show_events,
        show_windows,
        show_audit,
    ],
    tags=["fleet"],
)

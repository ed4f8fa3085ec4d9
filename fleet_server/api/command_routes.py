"""Routes of the operator: commands to devices."""

from typing import Annotated, Any

from litestar import Request, Router, get, post
from litestar.params import Body, FromPath, FromQuery, QueryParameter

from contract.commands import CommandRequest, CommandView
from fleet_server.api.guards import take_operator
from fleet_server.devices.commands import CommandQuery, cancel_command, create_commands, get_command, list_commands

AnyRequest = Request[Any, Any, Any]
Limit = Annotated[int, QueryParameter(ge=1, le=1000)]


@post("/v1/commands", status_code=201, summary="Send a command to devices")
async def post_commands(request: AnyRequest, data: Annotated[CommandRequest, Body()]) -> list[CommandView]:
    """One signed command for each device; it is sent again on every connect until there is a result or it expires."""
    floor = take_operator(request)
    return await floor.write(create_commands, floor.conduct.director, data, floor.clock())


@get("/v1/commands", summary="The newest commands")
async def show_commands(
    request: AnyRequest,
    device: FromQuery[str] = "",
    command_state: FromQuery[str] = "",
    command_kind: FromQuery[str] = "",
    limit: Limit = 200,
) -> list[CommandView]:
    """The newest commands, newest first."""
    floor = take_operator(request)
    return await floor.read(list_commands, CommandQuery(device, command_state, command_kind), limit, floor.clock())


@get("/v1/commands/{command_id:str}", summary="One command")
async def show_command(request: AnyRequest, command_id: FromPath[str]) -> CommandView:
    """One command with its result."""
    floor = take_operator(request)
    return await floor.read(get_command, command_id, floor.clock())


@post("/v1/commands/{command_id:str}/cancel", status_code=200, summary="Take a command back")
async def post_cancel(request: AnyRequest, command_id: FromPath[str]) -> CommandView:
    """A device that has it already may still do it; samples are not taken any more. 409 where it has ended."""
    floor = take_operator(request)
    return await floor.write(cancel_command, command_id, floor.clock())


COMMAND_ROUTES = Router("/", route_handlers=[post_commands, show_commands, show_command, post_cancel], tags=["commands"])

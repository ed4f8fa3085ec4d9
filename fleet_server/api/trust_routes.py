"""Routes of trust: who the server is, claims and enrolment, publications, TUF metadata, the wish of a device over HTTP."""

import base64
from typing import Annotated, Any

from litestar import Request, Response, Router, get, post
from litestar.params import Body, FromPath

from contract.files import sha256_of
from contract.rest import ClaimAnswer, ClaimRequest, EnrollAnswer, EnrollRequest, Publication, PublicationAnswer, ServerInfo, ServerKeys
from contract.signing import public_key_to_dict
from fleet_server import VERSION
from fleet_server.api.floor import Floor
from fleet_server.api.guards import floor_of, peer_of, take_anyone, take_device, take_operator
from fleet_server.devices.desired import find_envelope
from fleet_server.devices.enrolment import add_claim, enroll
from fleet_server.errors import ConflictError, NotAllowedError, NotFoundError
from fleet_server.trust.publication import Press, decode_roles, decode_roots, find_metadata, find_root, publish

PUBLICATION_MAX_BYTES = 32 << 20
AnyRequest = Request[Any, Any, Any]


async def _root(floor: Floor) -> bytes:
    root = await floor.read(find_root)
    if root is None:
        raise ConflictError(
            "this server has no TUF root yet", "Publish one from the studio first; it does so when it first meets a server."
        )
    return root


@get("/v1/server", summary="Public facts of the server")
async def show_server(request: AnyRequest) -> ServerInfo:
    """Who this server is; needs no credentials."""
    floor = floor_of(request)
    ready = await floor.read(find_root) is not None
    return ServerInfo(floor.name, VERSION, floor.fleet, floor.mqtt_url(), ready)


@post("/v1/claims", status_code=201, summary="Register a claim")
async def create_claim(request: AnyRequest, data: Annotated[ClaimRequest, Body()]) -> ClaimAnswer:
    """Register a one-time claim for a device."""
    floor = take_operator(request)
    root = await _root(floor)
    await floor.write(add_claim, data, floor.clock())
    return ClaimAnswer(floor.fleet, sha256_of(root), floor.ca_sha256)


@post("/v1/enroll", status_code=201, summary="Enrol a device with a claim")
async def enroll_device(request: AnyRequest, data: Annotated[EnrollRequest, Body()]) -> EnrollAnswer:
    """Use a claim once; the answer is what the device pins."""
    floor = floor_of(request)
    root = await _root(floor)
    floor.enrolments.check(peer_of(request))
    try:
        device = await floor.write(enroll, data, floor.clock())
    except NotAllowedError:
        floor.enrolments.fail(peer_of(request))
        raise
    await floor.admit(device)
    director = public_key_to_dict(floor.keys.director.public)
    return EnrollAnswer(floor.fleet, device, floor.mqtt_url(), director, base64.b64encode(root).decode())


@get("/v1/trust/keys", summary="Public online keys")
async def show_keys(request: AnyRequest) -> ServerKeys:
    """The public halves of the server's keys, for the studio to write into the root."""
    keys = take_operator(request).keys
    return ServerKeys(public_key_to_dict(keys.online.public), public_key_to_dict(keys.director.public))


@post("/v1/trust/publications", status_code=201, request_max_body_size=PUBLICATION_MAX_BYTES, summary="Publish signed role files")
async def create_publication(request: AnyRequest, data: Annotated[Publication, Body()]) -> PublicationAnswer:
    """Verify everything, store it, sign snapshot, then timestamp."""
    floor = take_operator(request)
    press = Press(floor.artifacts, floor.keys.online)
    roles = decode_roles(data.roles), decode_roots(data.roots)
    return PublicationAnswer(await floor.write(publish, press, *roles, floor.clock()))


@get("/v1/tuf/metadata/{file:str}", summary="TUF metadata", media_type="application/json")
async def show_metadata(request: AnyRequest, file: FromPath[str]) -> Response[bytes]:
    """`timestamp.json` or `<version>.<role>.json` as signed."""
    body = await take_anyone(request).read(find_metadata, file)
    if body is None:
        raise NotFoundError(f"there is no metadata {file[:80]!r}")
    return Response(body, media_type="application/json")


@get("/v1/device/desired", summary="The wish for the asking device", media_type="application/json")
async def show_desired(request: AnyRequest) -> Response[bytes]:
    """The signed desired document, for devices that MQTT does not reach; 304 with the ETag they have."""
    floor, device = take_device(request)
    found = await floor.read(find_envelope, device)
    if found is None:
        raise NotFoundError("there is no wish for this device yet", "Ask again later.")
    etag = f'"{found[0]}-{sha256_of(found[1])[:16]}"'
    if request.headers.get("if-none-match") == etag:
        return Response(b"", status_code=304, headers={"etag": etag}, media_type="application/json")
    return Response(found[1], headers={"etag": etag}, media_type="application/json")


TRUST_ROUTES = Router(
    "/",
    route_handlers=[show_server, create_claim, enroll_device, show_keys, create_publication, show_metadata, show_desired],
    tags=["trust"],
)

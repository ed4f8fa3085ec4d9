"""Serve the dashboard's three files; they hold no data, the script asks for it with the operator's token."""

from importlib import resources

from litestar import Response, Router, get

_HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",  # noqa: E501
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def _file(name: str, media_type: str) -> Response[bytes]:
    body = resources.files("fleet_server.web").joinpath(name).read_bytes()
    return Response(body, media_type=media_type, headers=_HEADERS)


@get("/", sync_to_thread=True, include_in_schema=False)
def show_page() -> Response[bytes]:
    """The page."""
    return _file("dashboard.html", "text/html")


@get("/dashboard.css", sync_to_thread=True, include_in_schema=False)
def show_style() -> Response[bytes]:
    """Its style."""
    return _file("dashboard.css", "text/css")


@get("/dashboard.js", sync_to_thread=True, include_in_schema=False)
def show_script() -> Response[bytes]:
    """Its script."""
    return _file("dashboard.js", "text/javascript")


WEB_ROUTES = Router("/", route_handlers=[show_page, show_style, show_script])

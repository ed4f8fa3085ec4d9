"""What the endpoint answers: the paths of the Open Inference Protocol and a short form for people.

| method and path | answer |
|---|---|
| GET /v2/health/live, /v2/health/ready | 200 |
| GET /v2 | server metadata |
| GET /v2/models/M[/versions/V] | model metadata |
| GET /v2/models/M[/versions/V]/ready | 200 |
| GET /v2/models/M[/versions/V]/stats, /v2/models/stats | counts since the start |
| POST /v2/repository/index | the one model |
| POST /v2/models/M[/versions/V]/infer | tensors in JSON or binary; or an image, a row of JSON |
| POST /predict | an image, or a row of JSON |
"""

import zlib
from collections.abc import Awaitable, Callable

from contract.manifest import Manifest
from edge_agent.engine.answers import Answer, answer_of
from edge_agent.engine.decoding import decode_image
from edge_agent.engine.engine import Prediction, Sample
from edge_agent.engine.errors import InferenceError, InputError
from edge_agent.hardware import agent_version
from edge_agent.serving.connection import Body
from edge_agent.serving.http_messages import Head, HttpError, Response, json_response
from edge_agent.serving.inference_protocol import decode_infer, encode_infer
from edge_agent.serving.metadata import EXTENSIONS, model_metadata, model_statistics
from edge_agent.serving.row_bodies import decode_row
from edge_agent.worker.inference import Inference, QueueFullError

Answerer = Callable[[Head, Body], Response | Awaitable[Response]]
"""Answers one request, at once or later."""


class Service:
    """The endpoint of one model."""

    def __init__(self, inference: Inference, manifest: Manifest, variant: str, max_body_bytes: int) -> None:
        self.max_body_bytes = max_body_bytes
        self._inference = inference
        self._manifest = manifest
        self._variant = variant
        self._inputs = {spec.name: spec for spec in manifest.inputs}
        self._routes: dict[str, dict[str, Answerer]] = self._build_routes()

    def _build_routes(self) -> dict[str, dict[str, Answerer]]:
        ok = Response(200, b"")
        metadata = json_response(model_metadata(self._manifest, self._variant))
        server = json_response({"name": "eyelet-agent", "version": agent_version(), "extensions": list(EXTENSIONS)})
        index = json_response([{"name": self._manifest.name, "version": str(self._manifest.version), "state": "READY", "reason": ""}])
        routes: dict[str, dict[str, Answerer]] = {
            "/v2": {"GET": lambda _head, _body: server},
            "/v2/health/live": {"GET": lambda _head, _body: ok},
            "/v2/health/ready": {"GET": lambda _head, _body: ok},
            "/v2/models/stats": {"GET": self._statistics},
            "/v2/repository/index": {"POST": lambda _head, _body: index},
            "/predict": {"POST": self._predict},
        }
        for root in self._roots():
            routes[root] = {"GET": lambda _head, _body: metadata}
            routes[f"{root}/ready"] = {"GET": lambda _head, _body: ok}
            routes[f"{root}/stats"] = {"GET": self._statistics}
            routes[f"{root}/infer"] = {"POST": self._infer}
        return routes

    def _roots(self) -> tuple[str, str]:
        root = f"/v2/models/{self._manifest.name}"
        return root, f"{root}/versions/{self._manifest.version}"

    def handle(self, head: Head, body: Body) -> Response | Awaitable[Response]:
        """Answer one request.

        Raises:
            HttpError: with the state and what is wrong.
        """
        methods = self._routes.get(head.path)
        if methods is None:
            model, version = self._manifest.name, self._manifest.version
            raise HttpError(404, f"nothing is at {head.path[:120]!r}; the model here is {model}, version {version}")
        answerer = methods.get("GET" if head.method == "HEAD" else head.method)
        if answerer is None:
            raise HttpError(405, f"{head.path} takes {', '.join(methods)}", headers=(("Allow", ", ".join(methods)),))
        return answerer(head, body)

    def _statistics(self, _head: Head, _body: Body) -> Response:
        return json_response(model_statistics(self._manifest, self._inference.recorder.completed))

    def _infer(self, head: Head, body: Body) -> Response | Awaitable[Response]:
        if head.headers.get("content-type", "").startswith(("image/", "text/csv")):
            return self._predict(head, body)
        inquiry = decode_infer(head.headers, self._plain(head, body), self._inputs)
        return self._answer(inquiry.sample, lambda prediction: encode_infer(inquiry, prediction, self._manifest))

    def _predict(self, head: Head, body: Body) -> Response | Awaitable[Response]:
        sample = self._decode_sample(head.headers.get("content-type", "").partition(";")[0].strip().lower(), self._plain(head, body))
        return self._answer(sample, self._short_answer)

    def _decode_sample(self, content_type: str, body: Body) -> Sample:
        image = len(self._inputs) == 1 and self._manifest.inputs[0].dtype == "uint8"
        try:
            if image and (content_type.startswith("image/") or content_type == "application/octet-stream"):
                return {self._manifest.inputs[0].name: decode_image(bytes(body))}
            if not image and content_type == "application/json":
                return decode_row(bytes(body), self._inference.engine.spec)
        except InputError as error:
            raise HttpError(400, str(error)) from error
        wanted = "an image (Content-Type: image/jpeg, image/png, …)" if image else "one row (Content-Type: application/json)"
        raise HttpError(415, f"this model takes {wanted} here, got {content_type[:60]!r}")

    def _short_answer(self, prediction: Prediction) -> Response:
        answer: Answer = answer_of(prediction, self._manifest, self._variant)
        return json_response(answer)

    def _answer(self, sample: Sample, render: Callable[[Prediction], Response]) -> Response | Awaitable[Response]:
        """At once on the event loop where the model is fast, else in turn."""
        if not self._inference.inline:
            return self._answer_in_turn(sample, render)
        try:
            return render(self._inference.predict_now(sample))
        except (InputError, InferenceError) as error:
            raise _http_error(error) from error

    async def _answer_in_turn(self, sample: Sample, render: Callable[[Prediction], Response]) -> Response:
        try:
            return render(await self._inference.predict(sample))
        except QueueFullError as error:
            raise HttpError(503, str(error), headers=(("Retry-After", str(self._inference.retry_after_s)),)) from error
        except (InputError, InferenceError) as error:
            raise _http_error(error) from error

    def _plain(self, head: Head, body: Body) -> Body:
        """The body without `Content-Encoding`, still within the bound."""
        encoding = head.headers.get("content-encoding", "identity").lower()
        if encoding == "identity":
            return body
        if encoding not in {"gzip", "deflate"}:
            raise HttpError(415, f"the content encoding {encoding[:30]!r} is not known; gzip and deflate are")
        decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)  # either header
        try:
            plain = decoder.decompress(bytes(body), self.max_body_bytes + 1)
        except zlib.error as error:
            raise HttpError(400, f"the {encoding} body is broken: {error}") from error
        if len(plain) > self.max_body_bytes:
            raise HttpError(413, f"the body unpacks to more than {self.max_body_bytes} bytes")
        if not decoder.eof:
            raise HttpError(400, f"the {encoding} body is cut short")
        return plain


def _http_error(error: Exception) -> HttpError:
    return HttpError(400 if isinstance(error, InputError) else 500, str(error))

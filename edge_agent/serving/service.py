"""What the endpoint answers: the paths of the Open Inference Protocol, a short form for people, `/metrics`.

| method and path | answer |
|---|---|
| GET /v2/health/live, /v2/health/ready | 200 |
| GET /v2 | server metadata |
| GET /v2/models/M[/versions/V] | model metadata |
| GET /v2/models/M[/versions/V]/config | model configuration |
| GET /v2/models/M[/versions/V]/ready | 200 |
| GET /v2/models/M[/versions/V]/stats, /v2/models/stats | counts and times since the start |
| POST /v2/repository/index | the one model |
| POST /v2/models/M[/versions/V]/infer | tensors in JSON or binary; or a raw body |
| POST /predict | a raw body: image, sound, array, row, rows |
| GET /metrics | for Prometheus |
| GET / | the status page for people, or as JSON |
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from contract.manifest import Manifest
from edge_agent.engine.answers import Answer, answer_of
from edge_agent.engine.engine import Prediction, Sample
from edge_agent.engine.errors import InferenceError, InputError
from edge_agent.hardware import agent_version
from edge_agent.serving.compressed_bodies import unpack
from edge_agent.serving.connection import Body
from edge_agent.serving.deadlines import HEADER, timeout_s
from edge_agent.serving.http_messages import Head, HttpError, Response, json_response
from edge_agent.serving.inference_answers import encode_infer
from edge_agent.serving.inference_requests import InferReader
from edge_agent.serving.metadata import EXTENSIONS, model_config, model_metadata, model_statistics, repository_index
from edge_agent.serving.metrics import CONTENT_TYPE, Metrics
from edge_agent.serving.model_repository import ModelRepository, find_call
from edge_agent.serving.page_html import ServedModel
from edge_agent.serving.raw_bodies import Samples, decode_raw, find_raw_kind, takes_long
from edge_agent.serving.request_times import RequestTimes
from edge_agent.serving.status_page import answer_page, look
from edge_agent.serving.traffic import Traffic
from edge_agent.serving.unserved import find_refusal
from edge_agent.worker.inference import DeadlineError, Inference, QueueFullError

Answerer = Callable[[Head, Body], Response | Awaitable[Response]]
"""Answers one request, at once or later."""

DEADLINE_S = 30.0
_YIELD_NS = 2_000_000
"""A request of many rows lets others have their turn after so much time."""


class Asked(NamedTuple):
    """When a request was there, and until when it wants its answer; `perf_counter_ns`."""

    begun_ns: int
    due_ns: int


class Service:
    """The endpoint of one model."""

    def __init__(self, inference: Inference, manifest: Manifest, variant: str, max_body_bytes: int, deadline_s: float = DEADLINE_S) -> None:
        """`deadline_s` bounds how long any request waits for its answer."""
        self.traffic = Traffic(max_body_bytes)
        self.traffic.on_answered = self._count_answered
        self.times = RequestTimes()
        self._inference = inference
        self._manifest = manifest
        self._variant = variant
        self._max_body_bytes = max_body_bytes
        self._deadline_s = deadline_s
        self._deadline_ns = int(deadline_s * 1e9)
        self._reader = InferReader(manifest)
        self.metrics = Metrics(inference, self.times, self.traffic, manifest, variant)
        self._routes: dict[str, dict[str, Answerer]] = self._build_routes()
        self._uncounted: tuple[Sample, Prediction] | None = None
        self._untimed: tuple[tuple[int, int, int, int], float] | None = None
        self._decoding = ThreadPoolExecutor(1, "decoding")
        self.repository: ModelRepository | None = None  # None: nothing is loaded or unloaded over HTTP
        self.unloaded = False
        self.status_file: Path | None = None  # what the supervisor says of itself, for the page at /

    def _build_routes(self) -> dict[str, dict[str, Answerer]]:
        ok = _always(Response(200, b""))
        metadata = _always(json_response(model_metadata(self._manifest, self._variant)))
        config = _always(json_response(model_config(self._manifest, self._variant)))
        routes: dict[str, dict[str, Answerer]] = {
            "/v2": {"GET": lambda _head, _body: json_response(_server())},
            "/v2/health/live": {"GET": ok},
            "/v2/health/ready": {"GET": ok},
            "/v2/models/stats": {"GET": self._statistics},
            "/v2/repository/index": {"POST": self._index},
            "/predict": {"POST": self._predict},
            "/": {"GET": self._page},
            "/metrics": {"GET": lambda _head, _body: Response(200, self.metrics.render(), CONTENT_TYPE)},
        }
        for root in self._roots():
            routes[root] = {"GET": metadata}
            routes[f"{root}/config"] = {"GET": config}
            routes[f"{root}/ready"] = {"GET": ok}
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
            return self._answer_elsewhere(head, body)
        answerer = methods.get("GET" if head.method == "HEAD" else head.method)
        if answerer is None:
            raise HttpError(405, f"{head.path} takes {', '.join(methods)}", headers=(("Allow", ", ".join(methods)),))
        return answerer(head, body)

    def _answer_elsewhere(self, head: Head, body: Body) -> Awaitable[Response]:
        """What no path of the table means."""
        call = find_call(head.path)
        if call is None or self.repository is None:
            raise find_refusal(head.path) or self._not_found(head.path)
        if head.method != "POST":
            raise HttpError(405, f"{head.path} takes POST", headers=(("Allow", "POST"),))
        return self.repository.carry_out(call[1], call[2], bytes(self._plain(head, body)))

    def unload(self) -> None:
        """From now on answer 503 for the model; what is under way is still answered."""
        self.unloaded = True
        for path in (*self._paths_of_model(), "/predict"):
            self._routes[path] = dict.fromkeys(self._routes[path], self._refuse_unloaded)

    def _paths_of_model(self) -> list[str]:
        return [path for path in self._routes for root in self._roots() if path == root or path.startswith(f"{root}/")]

    def _unloaded_error(self) -> HttpError:
        name = self._manifest.name
        return HttpError(503, f"the model {name} is unloaded; POST /v2/repository/models/{name}/load loads it again")

    def _refuse_unloaded(self, _head: Head, _body: Body) -> Response:
        raise self._unloaded_error()

    def _not_found(self, path: str) -> HttpError:
        return HttpError(404, f"nothing is at {path[:120]!r}; the model here is {self._manifest.name}, version {self._manifest.version}")

    def _statistics(self, _head: Head, _body: Body) -> Response:
        return json_response(model_statistics(self._manifest, self.times))

    def _page(self, head: Head, _body: Body) -> Response:
        windows = self._inference.recorder.recent(time.monotonic())
        served = ServedModel(self._manifest.name, self._manifest.version, self._variant, windows, self.unloaded)
        return answer_page(head, look(self.status_file, served))

    def _index(self, head: Head, body: Body) -> Response:
        return json_response(repository_index(self._manifest, bytes(self._plain(head, body)), unloaded=self.unloaded))

    # Inference

    def _infer(self, head: Head, body: Body) -> Response | Awaitable[Response]:
        content_type = head.headers.get("content-type")
        if content_type is not None and (kind := find_raw_kind(content_type)) is not None and kind.in_infer:
            return self._predict(head, body)
        begun_ns = time.perf_counter_ns()
        try:
            plain = self._plain(head, body) if "content-encoding" in head.headers else body
            sample, form = self._reader.decode(head.headers, plain)
            asked = self._asked(begun_ns, head, form.timeout)
            return self._answer(asked, sample, lambda prediction: encode_infer(form, prediction, self._manifest))
        except HttpError:
            self.times.record_failure(time.perf_counter_ns() - begun_ns)
            raise

    def _predict(self, head: Head, body: Body) -> Response | Awaitable[Response]:
        begun_ns = time.perf_counter_ns()
        try:
            content_type = head.headers.get("content-type", "")
            plain = bytes(self._plain(head, body))
            asked = self._asked(begun_ns, head, None)
            if takes_long(content_type, plain):
                return self._counted(asked, lambda: self._answer_large(asked, content_type, plain))
            samples, many = decode_raw(content_type, plain, self._inference.engine.spec)
            if many:
                return self._counted(asked, lambda: self._answer_rows(asked, samples))
            return self._answer(asked, next(iter(samples)), self._render_short)
        except HttpError:
            self.times.record_failure(time.perf_counter_ns() - begun_ns)
            raise

    def _asked(self, begun_ns: int, head: Head, timeout: object) -> Asked:
        if timeout is None and HEADER not in head.headers:
            return Asked(begun_ns, begun_ns + self._deadline_ns)
        return Asked(begun_ns, begun_ns + int(timeout_s(head.headers, timeout, self._deadline_s) * 1e9))

    def _short(self, prediction: Prediction) -> Answer:
        return answer_of(prediction, self._manifest, self._variant)

    def _answer(self, asked: Asked, sample: Sample, render: Callable[[Prediction], Response]) -> Response | Awaitable[Response]:
        """At once on the event loop where the model is fast, else in turn."""
        if not self._inference.inline:
            return self._counted(asked, lambda: self._answer_in_turn(asked, sample, render))
        return self._answer_now(asked, sample, render)

    def _answer_now(self, asked: Asked, sample: Sample, render: Callable[[Prediction], Response]) -> Response:
        decoded_ns = time.perf_counter_ns()
        if decoded_ns > asked.due_ns:
            raise self._late()
        try:
            prediction = self._inference.answer_now(sample)
        except (InputError, InferenceError) as error:
            raise self._http_error(error) from error
        self._uncounted = sample, prediction
        predicted_ns = time.perf_counter_ns()
        if predicted_ns > asked.due_ns:
            raise self._late()
        response = render(prediction)
        self._untimed = (asked.begun_ns, decoded_ns, predicted_ns, time.perf_counter_ns()), prediction.latency_us
        return response

    def _count_answered(self) -> None:
        """Count what `_answer_now` made, once it is on its way: the client need not wait for that."""
        if self._uncounted is not None:
            sample, prediction = self._uncounted
            self._uncounted = None
            self._inference.count(sample, prediction)
        if self._untimed is not None:
            marks_ns, latency_us = self._untimed
            self._untimed = None
            self.times.record(marks_ns, int(latency_us * 1000))

    async def _answer_large(self, asked: Asked, content_type: str, body: bytes) -> Response:
        """For a picture that takes long to decode: on a thread, one at a time, for it may take much memory, too."""
        loop = asyncio.get_running_loop()
        samples, _ = await loop.run_in_executor(self._decoding, decode_raw, content_type, body, self._inference.engine.spec)
        self._in_time(asked)
        if self.unloaded:
            raise self._unloaded_error()
        sample = next(iter(samples))
        if not self._inference.inline:
            return await self._answer_in_turn(asked, sample, self._render_short)
        return self._answer_now(asked, sample, self._render_short)

    def _render_short(self, prediction: Prediction) -> Response:
        return json_response(self._short(prediction))

    async def _answer_in_turn(self, asked: Asked, sample: Sample, render: Callable[[Prediction], Response]) -> Response:
        decoded_ns = self._in_time(asked)
        try:
            prediction = await self._inference.predict(sample, (asked.due_ns - decoded_ns) / 1e9)
        except (QueueFullError, DeadlineError, InputError, InferenceError) as error:
            raise self._http_error(error) from error
        predicted_ns = self._in_time(asked)
        response = render(prediction)
        self.times.record((asked.begun_ns, decoded_ns, predicted_ns, time.perf_counter_ns()), int(prediction.latency_us * 1000))
        return response

    async def _answer_rows(self, asked: Asked, samples: Samples) -> Response:
        """One answer per sample, or one error; the queue's bound is checked with the first, the deadline with each."""
        decoded_ns = turn_ns = self._in_time(asked)
        predictions: list[Prediction] = []
        try:
            for index, sample in enumerate(samples):
                if self.unloaded:
                    raise self._unloaded_error()
                remaining_s = (asked.due_ns - self._in_time(asked)) / 1e9
                predictions.append(await self._inference.predict(sample, remaining_s, admitted=index > 0))
                if time.perf_counter_ns() - turn_ns > _YIELD_NS:
                    await asyncio.sleep(0)
                    turn_ns = time.perf_counter_ns()
        except (QueueFullError, DeadlineError, InputError, InferenceError) as error:
            raise self._http_error(error) from error
        predicted_ns = self._in_time(asked)
        response = json_response([self._short(prediction) for prediction in predictions])
        infer_ns = int(sum(prediction.latency_us for prediction in predictions) * 1000)
        self.times.record((asked.begun_ns, decoded_ns, predicted_ns, time.perf_counter_ns()), infer_ns, len(predictions))
        return response

    async def _counted(self, asked: Asked, answer: Callable[[], Awaitable[Response]]) -> Response:
        """The answer, its failure counted."""
        try:
            return await answer()
        except HttpError:
            self.times.record_failure(time.perf_counter_ns() - asked.begun_ns)
            raise

    def _in_time(self, asked: Asked) -> int:
        """The time now; raises `HttpError` 504 where that is after the deadline."""
        now_ns = time.perf_counter_ns()
        if now_ns > asked.due_ns:
            raise self._late()
        return now_ns

    def _late(self) -> HttpError:
        self._inference.recorder.record_deadline_miss()
        return HttpError(504, "there was no answer before the request's deadline")

    def _http_error(self, error: Exception) -> HttpError:
        if isinstance(error, QueueFullError):
            return HttpError(503, str(error), headers=(("Retry-After", str(self._inference.retry_after_s)),))
        if isinstance(error, DeadlineError):
            return HttpError(504, str(error))
        return HttpError(400 if isinstance(error, InputError) else 500, str(error))

    def _plain(self, head: Head, body: Body) -> Body:
        """The body without `Content-Encoding`, still within the bound."""
        encoding = head.headers.get("content-encoding")
        return body if encoding is None else unpack(encoding.lower(), body, self._max_body_bytes)


def _server() -> dict[str, object]:
    """Made when it is asked for: looking up the version takes longer than all else of a start here."""
    return {"name": "eyelet-agent", "version": agent_version(), "extensions": list(EXTENSIONS)}


def _always(response: Response) -> Answerer:
    return lambda _head, _body: response

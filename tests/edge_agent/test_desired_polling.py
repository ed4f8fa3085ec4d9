"""The wish over HTTP while there is no broker."""

import asyncio
import http.server
import threading
from typing import ClassVar

import pytest

from edge_agent.desired_polling import poll_desired
from edge_agent.http_client import ServerHttp


class Desired(http.server.BaseHTTPRequestHandler):
    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        etag = self.headers.get("If-None-Match", "")
        self.asked.append(etag)
        body = b"" if etag == '"7"' else b"wish 7"
        self.send_response(200 if body else 304)
        self.send_header("ETag", '"7"')
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def test_it_asks_only_without_a_connection_and_takes_each_wish_once() -> None:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Desired)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    client, taken, connected = ServerHttp(f"http://127.0.0.1:{server.server_address[1]}"), [], [True]

    async def story() -> None:
        task = asyncio.create_task(poll_desired(client, lambda: connected[0], taken.append, interval_s=0.02))
        await asyncio.sleep(0.1)
        assert Desired.asked == []
        connected[0] = False
        for _ in range(200):
            if len(Desired.asked) >= 3:
                break
            await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(story())
    server.shutdown()
    server.server_close()
    client.close()
    assert taken == [b"wish 7"]
    assert Desired.asked[:3] == ["", '"7"', '"7"']

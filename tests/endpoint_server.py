"""A small OpenAI-compatible endpoint on this machine that answers, or fails, as a test says."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "key-for-tests-0123456789"


@dataclass(frozen=True)
class Answer:
    """What the server does with one request."""

    text: str | None = None  # of the message
    finish: str = "stop"
    status: int = 200
    error: dict[str, Any] | None = None
    raw: bytes | None = None  # sent as it stands
    content_type: str = "application/json"
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0  # seconds

    def body(self) -> bytes:
        if self.raw is not None:
            return self.raw
        if self.status != 200:
            return json.dumps({"error": self.error or {"message": "no"}}).encode()
        message = {"role": "assistant", "content": self.text}
        choice = {"index": 0, "message": message, "finish_reason": self.finish}
        usage = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107}
        made = {"id": "x", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": usage}
        return json.dumps(made).encode()


Behaviour = Callable[[dict[str, Any], int], Answer]


class EndpointServer:
    """`behaviour`: (request, how often its message came before) -> Answer."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.behaviour = behaviour
        self.requests: list[dict[str, Any]] = []
        self.keys: set[str | None] = set()
        self.times: Counter[str] = Counter()
        self.most_at_once = 0
        self._at_once = 0
        self._lock = threading.Lock()
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                outer.handle(self)

            def log_message(self, *arguments: object) -> None:
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}/v1"
        threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def handle(self, request: BaseHTTPRequestHandler) -> None:
        body = json.loads(request.rfile.read(int(request.headers["Content-Length"])))
        text = body["messages"][0]["content"]
        with self._lock:
            assert request.path == "/v1/chat/completions"
            self.keys.add(request.headers["Authorization"])
            self.requests.append(body)
            times, self.times[text] = self.times[text], self.times[text] + 1
            self._at_once += 1
            self.most_at_once = max(self.most_at_once, self._at_once)
        answer = self.behaviour(body, times)
        time.sleep(answer.delay)
        with self._lock:
            self._at_once -= 1
        content = answer.body()
        try:
            request.send_response(answer.status)
            for name, value in {"Content-Type": answer.content_type, **answer.headers}.items():
                request.send_header(name, value)
            request.send_header("Content-Length", str(len(content)))
            request.end_headers()
            request.wfile.write(content)
        except OSError:
            pass  # the client has gone

    def close(self) -> None:
        self.http.shutdown()
        self.http.server_close()

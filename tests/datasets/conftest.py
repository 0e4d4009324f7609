"""A web server of our own, for downloads without the internet."""

import http.server
import threading
from collections import Counter

import pytest


class Cut:
    """An answer that announces all of its content and breaks off after some of it."""

    def __init__(self, content, after):
        self.content, self.after = content, after


class Server(http.server.ThreadingHTTPServer):
    """Answers from ``pages``: bytes, a status, a `Cut`, or a function of the number of the request."""

    daemon_threads = True

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages, self.hits = {}, Counter()

    def url(self, name):
        return f"http://127.0.0.1:{self.server_port}/{name}"


class _Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        name = self.path.lstrip("/")
        self.server.hits[name] += 1
        answer = self.server.pages.get(name, 404)
        if callable(answer):
            answer = answer(self.server.hits[name])
        if isinstance(answer, int):
            self.send_error(answer)
            return
        content, after = (answer.content, answer.after) if isinstance(answer, Cut) else (answer, None)
        self.send_response(200)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content[:after])

    def log_message(self, *_):
        pass


@pytest.fixture
def server():
    running = Server()
    threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield running
    running.shutdown()
    running.server_close()


@pytest.fixture
def cut():
    return Cut

"""The studio's own door for files: takes uploads to a shelf, and gives out results from another one, nothing else."""

from urllib.parse import parse_qs

from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response

from autolink_gen.common.files import reason_of
from autolink_gen.common.text import shown
from autolink_gen.studio.guard import App, Message, Receive, Send
from autolink_gen.studio.shelf import Shelf

UPLOAD_PATH = "/studio/upload"
RESULT_PATH = "/studio/results/"
_CONTENT = b"application/octet-stream"  # which a page elsewhere cannot send without being asked first
_MAX_NAME = 4096


class FileDoor:
    """An ASGI middleware that answers requests below ``/studio/``, and lets all others through.

    ``POST /studio/upload?name=NAME`` keeps the body on the shelf ``uploads`` and answers ``{"token": TOKEN}``, or
    ``{"error": LINE}``; how large it may be is the `Guard`'s business. ``GET /studio/results/TOKEN`` gives a file of
    the shelf ``results``, in parts where a player asks for these.
    """

    def __init__(self, app: App, *, uploads: Shelf, results: Shelf) -> None:
        self.app, self.uploads, self.results = app, uploads, results

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer, or let the request through."""
        path = scope.get("path", "")
        if scope["type"] != "http" or not path.startswith("/studio/"):
            await self.app(scope, receive, send)
        elif path == UPLOAD_PATH and scope["method"] == "POST":
            await (await self._take(scope, receive))(scope, receive, send)
        elif path.startswith(RESULT_PATH) and scope["method"] in ("GET", "HEAD"):
            await self._give(path.removeprefix(RESULT_PATH))(scope, receive, send)
        else:
            await PlainTextResponse("there is no such place", status_code=404)(scope, receive, send)

    async def _take(self, scope: Message, receive: Receive) -> Response:
        if dict(scope["headers"]).get(b"content-type") != _CONTENT:
            return PlainTextResponse("uploads come from the studio's page", status_code=415)
        name = parse_qs(scope["query_string"].decode("latin-1")).get("name", [""])[0][:_MAX_NAME]
        try:
            with self.uploads.new(name) as kept, kept.path.open("xb") as file:
                more = True
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ConnectionAbortedError("the upload broke off")
                    file.write(message.get("body", b""))
                    more = message.get("more_body", False)
            return JSONResponse({"token": kept.token})
        except (ValueError, OSError) as error:
            return JSONResponse({"error": f"cannot keep {shown(name, most=80)}: {reason_of(error)}"})

    def _give(self, token: str) -> Response:
        try:
            file = self.results.get(token)
        except ValueError as error:
            return PlainTextResponse(reason_of(error), status_code=404)
        headers = {"cache-control": "no-store", "x-content-type-options": "nosniff"}
        return FileResponse(file.path, headers=headers, filename=file.name, content_disposition_type="inline")

"""Files and JSON by FastAPI. The files are in the folder that $PAGES names."""

import datetime
import hashlib
import os
import pathlib
from email.utils import format_datetime, parsedate_to_datetime

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from fastapi.staticfiles import StaticFiles

pages = pathlib.Path(os.environ["PAGES"])

app = FastAPI()
app.mount("/static", StaticFiles(directory=pages), name="static")


def article(number):
    """What a database would have, changed when the folder's page was."""
    changed = datetime.datetime.fromtimestamp(int(pages.joinpath("page.html").stat().st_mtime), datetime.timezone.utc)
    return {"number": number, "text": "some words " * 20, "updated_at": changed.isoformat()}


def unmodified(since, changed):
    """Whether nothing has changed since a date. One without a zone is not a valid one, such as a date in quotes."""
    date = parsedate_to_datetime(since) if since else None
    return date is not None and date.tzinfo is not None and date >= changed


@app.get("/articles/{number}")
def read_article(number: int):
    return article(number)


@app.get("/dated/articles/{number}")
def read_dated_article(number: int, request: Request):
    """The same with validators, and with the conditions compared by hand, in the order of RFC 9110."""
    content = article(number)
    response = JSONResponse(content)
    changed = datetime.datetime.fromisoformat(content["updated_at"])
    etag = f'"{hashlib.sha256(response.body).hexdigest()}"'
    named, since = request.headers.get("if-none-match"), request.headers.get("if-modified-since")
    fields = {"etag": etag, "last-modified": format_datetime(changed, usegmt=True)}
    if named == etag or named is None and unmodified(since, changed):
        return Response(status_code=304, headers=fields)
    response.headers.update(fields)
    return response

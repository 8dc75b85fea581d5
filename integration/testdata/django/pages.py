"""A Django project in one file. Its pages are made from the files in the folder that $PAGES names."""

import collections
import datetime
import os
import pathlib
import secrets
import time

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, HttpResponseForbidden, HttpResponseNotFound, HttpResponseServerError, StreamingHttpResponse
from django.template import engines
from django.urls import path
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import conditional_page, last_modified, require_POST

settings.configure(
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="for tests only",
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[f"{__name__}.tell_status"],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)

source = pathlib.Path(os.environ["PAGES"], "page.html")

# How often a page was rendered in full, by the path of its URL. There is one process, so there is one count.
renders = collections.Counter()


def tell_status(get_response):
    """Say in a field what Django answered, so that a 304 of Django can be told from one made on the way."""

    def middleware(request):
        response = get_response(request)
        response["X-Django-Status"] = str(response.status_code)
        return response

    return middleware


def source_date(request):
    return datetime.datetime.fromtimestamp(int(source.stat().st_mtime), datetime.timezone.utc)


def plain(request):
    renders[request.path] += 1
    return HttpResponse(source.read_bytes())


def stalled(request):
    """The head and half of the page at once, the rest when there is a file named `release` in the folder."""

    def parts():
        body = source.read_bytes()
        yield body[: len(body) // 2]
        for _ in range(1000):
            if source.with_name("release").exists():
                break
            time.sleep(0.02)
        yield body[len(body) // 2 :]

    return StreamingHttpResponse(parts())


@csrf_protect
def form(request):
    """A form whose hidden token is masked anew in every answer."""
    page = engines["django"].from_string("<form method=post>{% csrf_token %}<input name=q></form>")
    return HttpResponse(page.render(request=request))


@csrf_protect
def contact(request):
    """The page with two forms of one session. What is posted has to have its token."""
    if request.method == "POST":
        return HttpResponse("accepted " + request.POST["q"], content_type="text/plain")
    form = "<form method=post>{% csrf_token %}<input name=q></form>"
    page = engines["django"].from_string("{{ source|safe }}" + form + form)
    return HttpResponse(page.render({"source": source.read_text()}, request))


def scripted(request):
    """The page with a script that only the policy of its own answer lets run."""
    nonce = secrets.token_urlsafe(16)
    response = HttpResponse(source.read_text() + f"<script nonce='{nonce}'>run()</script>")
    response["Content-Security-Policy"] = f"default-src 'self'; script-src 'nonce-{nonce}'"
    return response


# The notes that clients have written, by name.
notes = {}


def note(request, name):
    """A text that can be read and written. Django compares nothing."""
    if request.headers.get("Authorization") != "Basic YWRhOnNlY3JldA==":  # ada:secret
        response = HttpResponse("who are you?", status=401)
        response["WWW-Authenticate"] = 'Basic realm="notes"'
        return response
    if name == "others":
        return HttpResponseForbidden("not yours")
    if request.method == "PUT":
        created = name not in notes
        notes[name] = request.body
        return HttpResponse(status=201 if created else 204)
    if name not in notes:
        return HttpResponseNotFound("no such note")
    if request.method == "DELETE":
        del notes[name]
        return HttpResponse(status=204)
    return HttpResponse(notes[name], content_type="text/plain")


@require_POST
def command(request):
    return HttpResponse("done")


urlpatterns = [
    path("note/<name>", note),
    path("command", command),
    path("plain", plain),
    path("dated", last_modified(source_date)(plain)),
    path("etagged", conditional_page(plain)),
    path("form", form),
    path("contact", contact),
    path("contact/gzip", gzip_page(contact)),
    path("scripted", scripted),
    path("stalled", stalled),
    path("error500", lambda request: HttpResponseServerError("out of order")),
    path("renders", lambda request: HttpResponse(str(renders[request.GET["path"]]))),
]

application = get_wsgi_application()

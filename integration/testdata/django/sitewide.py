"""A Django site in one file that knows nothing of validators and lifetimes. $MIDDLEWARE names what is put around it, the
outermost first; the site is as old as the file that $MARKER names."""

import datetime
import hashlib
import os
import pathlib

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, HttpResponseNotModified, HttpResponseRedirect, HttpResponseServerError
from django.urls import path
from django.utils.cache import patch_cache_control, patch_response_headers
from django.utils.http import http_date, parse_etags
from django.views.decorators.cache import never_cache
from django.views.decorators.http import last_modified, require_POST

settings.configure(
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="for tests only",
    ROOT_URLCONF=__name__,
    MIDDLEWARE=os.environ["MIDDLEWARE"].split(),
)

marker = pathlib.Path(os.environ["MARKER"])


def site_date(request):
    return datetime.datetime.fromtimestamp(int(marker.stat().st_mtime), datetime.timezone.utc)


def date_first(get_response):
    """Django's `last_modified` around the whole site: the date is compared before a view is asked."""
    return last_modified(site_date)(get_response)


def dated(get_response):
    """The same date on what a view has answered, for ConditionalGetMiddleware to compare."""

    def middleware(request):
        response = get_response(request)
        if response.status_code == 200:
            response["Last-Modified"] = http_date(site_date(request).timestamp())
        return response

    return middleware


def an_hour(get_response):
    """An hour for everybody, by Django's own functions."""

    def middleware(request):
        response = get_response(request)
        if request.method in ("GET", "HEAD") and response.status_code in (200, 304):
            patch_response_headers(response, 3600)
            patch_cache_control(response, s_maxage=3600)
        return response

    return middleware


def debugging(get_response):
    """What developers want to see of every answer."""

    def middleware(request):
        response = get_response(request)
        response["X-Debug-View"] = request.resolver_match.url_name if request.resolver_match else "none"
        response["X-Debug-Status"] = str(response.status_code)
        response["Content-Debug"] = "no queries"
        return response

    return middleware


def revalidating(get_response):
    """A middleware as many sites have one: a tag and a Content-Location on each page, and a 304 that it makes itself."""

    def middleware(request):
        response = get_response(request)
        if request.method not in ("GET", "HEAD") or response.status_code != 200:
            return response
        etag = f'"{hashlib.sha256(response.content).hexdigest()}"'
        if etag in parse_etags(request.headers.get("If-None-Match", "")):
            response, full = HttpResponseNotModified(), response
            for name, value in full.items():
                if name.startswith(("X-Debug-", "Content-Debug")):
                    response[name] = value
            response["X-Debug-Answered-By"] = "revalidating"
        response["ETag"] = etag
        response["Content-Location"] = request.get_full_path()
        return response

    return middleware


def page(request, number=0):
    return HttpResponse(f"<!doctype html><title>Page {number}</title>" + "\n<p>The same text as ever.</p>" * 50)


def account(request):
    """A page for one user, whom the answer gives a cookie."""
    response = HttpResponse("your account")
    response.set_cookie("visitor", "ada")
    return response


@require_POST
def send(request):
    return HttpResponse("sent " + request.POST["q"], content_type="text/plain")


urlpatterns = [
    path("", page, name="home"),
    path("pages/<int:number>", page, name="page"),
    path("style.css", lambda request: HttpResponse("p { color: black }", content_type="text/css"), name="style"),
    path("account", account, name="account"),
    path("live", never_cache(page), name="live"),
    path("moved", lambda request: HttpResponseRedirect("/"), name="moved"),
    path("broken", lambda request: HttpResponseServerError("out of order"), name="broken"),
    path("send", send, name="send"),
]

django = get_wsgi_application()


def application(environ, start_response):
    """gunicorn sends the content that Django gives it to HEAD as well, behind which the connection is of no use
    (RFC 9110 §9.3.2)."""
    response = django(environ, start_response)
    if environ["REQUEST_METHOD"] != "HEAD":
        return response
    response.close()
    return []

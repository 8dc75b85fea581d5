"""A Django project in one file. Its pages are made from the files in the folder that $PAGES names."""

import collections
import datetime
import gzip
import io
import json
import os
import pathlib
import secrets
import time

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, HttpResponseForbidden, HttpResponseNotFound, HttpResponseServerError, JsonResponse, StreamingHttpResponse
from django.middleware.csrf import get_token
from django.template import engines
from django.urls import path
from django.utils.decorators import method_decorator
from django.views.decorators.gzip import gzip_page
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.gzip import gzip_page
from django.views.decorators.http import conditional_page, last_modified, require_POST
from django.views.generic import DetailView, ListView, TemplateView

settings.configure(
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="for tests only",
    ROOT_URLCONF=__name__,
    MIDDLEWARE=[f"{__name__}.tell_status"],
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [os.environ["PAGES"]],
            # Without Django's cache, so that a changed template shows.
            "OPTIONS": {"loaders": ["django.template.loaders.filesystem.Loader"]},
        }
    ],
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


def gzipped_anew(get_response):
    """What GZipMiddleware does since Django 4.2, against BREACH: a name of random length in the gzip header."""

    def view(request):
        coded = io.BytesIO()
        with gzip.GzipFile(filename="a" * secrets.randbelow(100), mode="wb", compresslevel=6, fileobj=coded, mtime=0) as writer:
            writer.write(get_response(request).content)
        response = HttpResponse(coded.getvalue())
        response["Content-Encoding"] = "gzip"
        response["Vary"] = "Accept-Encoding"
        return response

    return view


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


@csrf_protect
def htmx(request):
    """The page with the token as htmx sends it, in an attribute, or as a script does. What is posted has to have it."""
    if request.method == "POST":
        return HttpResponse("accepted " + request.POST["q"], content_type="text/plain")
    places = {
        "attribute": """<body hx-headers='{"X-CSRFToken": "{{ csrf_token }}"}'>""",
        "escaped": """<body hx-headers="{{ headers }}">""",
        "data": """<body data-csrf-token="{{ csrf_token }}">""",
        "script": """<script>document.body.addEventListener("htmx:configRequest", e => e.detail.headers['X-CSRFToken'] = '{{ csrf_token }}')</script>""",
    }
    page = engines["django"].from_string("{{ source|safe }}" + places[request.GET["place"]])
    headers = json.dumps({"X-CSRFToken": get_token(request)})
    return HttpResponse(page.render({"source": source.read_text(), "headers": headers}, request))


def scripted(request):
    """The page with a script that only the policy of its own answer lets run."""
    nonce = secrets.token_urlsafe(16)
    response = HttpResponse(source.read_text() + f"<script nonce='{nonce}'>run()</script>")
    response["Content-Security-Policy"] = f"default-src 'self'; script-src 'nonce-{nonce}'"
    return response


Article = collections.namedtuple("Article", "number text updated_at")


def articles():
    """What a database would have: the newest is as old as the folder's page, the one before a day older, and so on."""
    newest = source_date(None)
    return [Article(n, "some words " * 20, newest - datetime.timedelta(days=n)) for n in (2, 0, 1)]


def article(number):
    return next(a for a in articles() if a.number == number)


class ArticleDetail(DetailView):
    """A page of one article. It says in a field of its own when the article was changed."""

    template_name = "page.html"

    def get_object(self):
        return article(self.kwargs["number"])

    def render_to_response(self, context, **kwargs):
        response = super().render_to_response(context, **kwargs)
        response["X-Article-Updated"] = self.object.updated_at.strftime("%d.%m.%Y %H:%M:%S")
        return response


class ArticleList(ListView):
    template_name = "page.html"

    def get_queryset(self):
        return articles()


class About(TemplateView):
    template_name = "page.html"


# The same with validators, as the documentation of Django has it: from a field of the object, from the newest of
# the list, from the template's file.
DatedDetail = method_decorator(last_modified(lambda r, number: article(number).updated_at), "dispatch")(type("DatedDetail", (ArticleDetail,), {}))
DatedList = method_decorator(last_modified(lambda r: max(a.updated_at for a in articles())), "dispatch")(type("DatedList", (ArticleList,), {}))
DatedAbout = method_decorator(last_modified(source_date), "dispatch")(type("DatedAbout", (About,), {}))


def detail_json(request, number):
    return JsonResponse(article(number)._asdict())


def list_json(request):
    return JsonResponse({"items": [a._asdict() for a in articles()]})


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
    path("articles/<int:number>", ArticleDetail.as_view()),
    path("articles", ArticleList.as_view()),
    path("about", About.as_view()),
    path("dated/articles/<int:number>", DatedDetail.as_view()),
    path("dated/articles", DatedList.as_view()),
    path("dated/about", DatedAbout.as_view()),
    path("api/articles/<int:number>", detail_json),
    path("api/articles", list_json),
    path("api/gzip/articles", gzip_page(list_json)),
    path("note/<name>", note),
    path("command", command),
    path("plain", plain),
    path("plain/gzip", gzip_page(plain)),
    path("plain/gzip/anew", gzipped_anew(plain)),
    path("dated", last_modified(source_date)(plain)),
    path("etagged", conditional_page(plain)),
    path("form", form),
    path("contact", contact),
    path("contact/gzip", gzip_page(contact)),
    path("htmx", htmx),
    path("scripted", scripted),
    path("stalled", stalled),
    path("error500", lambda request: HttpResponseServerError("out of order")),
    path("renders", lambda request: HttpResponse(str(renders[request.GET["path"]]))),
]

application = get_wsgi_application()

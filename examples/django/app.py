"""A Django site in one file: a page for everybody, one for guests and users, one with a form, and one that signs in."""

import os

from django.conf import settings
from django.contrib import messages
from django.core.wsgi import get_wsgi_application
from django.http import HttpResponse, HttpResponseRedirect
from django.template import engines
from django.urls import path
from django.views.decorators.http import require_POST

settings.configure(
    ALLOWED_HOSTS=["*"],
    SECRET_KEY=os.environ.get("SECRET_KEY", "only for this example"),
    ROOT_URLCONF=__name__,
    INSTALLED_APPS=["django.contrib.sessions", "django.contrib.messages"],
    SESSION_ENGINE="django.contrib.sessions.backends.signed_cookies",
    MESSAGE_STORAGE="django.contrib.messages.storage.session.SessionStorage",
    MIDDLEWARE=[
        "django.middleware.security.SecurityMiddleware",
        "django.contrib.sessions.middleware.SessionMiddleware",
        "django.middleware.common.CommonMiddleware",
        "django.middleware.csrf.CsrfViewMiddleware",
        "django.contrib.messages.middleware.MessageMiddleware",
    ],
    TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates"}],
)

LAYOUT = """<!doctype html>
<html lang="en">
<link rel="stylesheet" href="/static/site.5f1e2a.css">
<title>{{ title }}</title>
{% for message in messages %}<p class="message">{{ message }}</p>
{% endfor %}"""


def render(request, title, text, **context):
    page = engines["django"].from_string(LAYOUT + text)
    return HttpResponse(page.render({"title": title, "messages": messages.get_messages(request), **context}, request))


def home(request):
    """The session is asked for the user's name, so Django says Vary: Cookie."""
    return render(request, "Home", "<p>Hello, {{ name }}.</p>\n", name=request.session.get("name", "guest"))


def about(request):
    """Nothing of the request counts."""
    return HttpResponse("<!doctype html>\n<html lang=\"en\">\n<title>About</title>\n<p>The same for everybody.</p>\n")


def form(request):
    """A form has a token, which is masked anew in each answer, and Django sets its cookie."""
    return render(request, "Sign in", '<form method="post" action="/sign-in">{% csrf_token %}<input name="name"></form>\n')


@require_POST
def sign_in(request):
    request.session["name"] = request.POST["name"]
    messages.success(request, "You are signed in.")
    return HttpResponseRedirect("/")


urlpatterns = [
    path("", home),
    path("about", about),
    path("form", form),
    path("sign-in", sign_in),
]

application = get_wsgi_application()

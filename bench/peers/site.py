"""A Django site in one file: a thousand pages, each rendered from a template. $MIDDLEWARE names what is put around it."""

import os

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.shortcuts import render
from django.urls import path

settings.configure(
    ALLOWED_HOSTS=["*"],
    SECRET_KEY="for a benchmark only",
    ROOT_URLCONF=__name__,
    MIDDLEWARE=os.environ["MIDDLEWARE"].split(),
    TEMPLATES=[
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "OPTIONS": {
                "loaders": [
                    (
                        "django.template.loaders.locmem.Loader",
                        {
                            "page.html": """<!doctype html>
<html lang="en">
<title>Page {{ number }}</title>
<ul>
{% for item in items %}<li><a href="/pages/{{ item.number }}">{{ item.title|title }}</a>: {{ item.text|truncatewords:12 }}
{% endfor %}</ul>
"""
                        },
                    )
                ]
            },
        }
    ],
)


def page(request, number):
    """A list of thirty things, as many pages are one."""
    items = [
        {"number": (number * 7 + n) % 1000, "title": f"thing {n} of page {number}", "text": "some words of many " * 8}
        for n in range(30)
    ]
    return render(request, "page.html", {"number": number, "items": items})


urlpatterns = [path("pages/<int:number>", page)]

application = get_wsgi_application()

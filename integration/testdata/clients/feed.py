"""Follow a feed as feedparser's manual says: keep the tag and the date, and what was read if there is nothing new.

feed.py URL STATE prints the content of all entries. STATE is the file that is kept.
"""

import json
import os
import sys

import feedparser

url, path = sys.argv[1:]
state = {"etag": None, "modified": None, "entries": []}
if os.path.exists(path):
    with open(path) as kept:
        state = json.load(kept)
feed = feedparser.parse(url, etag=state["etag"], modified=state["modified"])
if feed.status == 200:
    state = {"etag": feed.get("etag"), "modified": feed.get("modified"), "entries": [e.summary for e in feed.entries]}
elif feed.status != 304:
    sys.exit(f"status {feed.status}")
with open(path, "w") as kept:
    json.dump(state, kept)
print("\n".join(state["entries"]), end="")

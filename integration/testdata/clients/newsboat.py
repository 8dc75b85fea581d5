"""Print the content of all articles that newsboat has kept in the database given, in the order of the feed."""

import sqlite3
import sys

rows = sqlite3.connect(sys.argv[1]).execute("SELECT content FROM rss_item WHERE deleted = 0 ORDER BY pubDate")
print("\n".join(content for (content,) in rows), end="")

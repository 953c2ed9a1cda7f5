"""How many messages wait at the provider for a device."""

import sqlite3
import sys

database = sqlite3.connect(f"file:{sys.argv[1]}?mode=ro", uri=True)
print(database.execute("SELECT count(*) FROM incoming WHERE removed = 0").fetchone()[0])

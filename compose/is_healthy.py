"""The health check of a container: ``python is_healthy.py URL [COMPONENT]`` ends with status 0 if all is well.

The URL has to answer with a status below 400; with a component, what it answers is the health of Airflow, and that
component has to be healthy in it.
"""

from __future__ import annotations

import json
import sys
import urllib.request

_LIMIT_S = 15


def main() -> None:
    """Ask, and end with what is wrong if something is."""
    url, *components = sys.argv[1:]
    ask = urllib.request.build_opener(urllib.request.ProxyHandler({})).open  # no proxy stands between containers
    try:
        with ask(url, timeout=_LIMIT_S) as answer:
            body = answer.read()
    except OSError as error:
        sys.exit(f"{url}: {error}")
    for component in components:
        status = json.loads(body)[component]["status"]
        if status != "healthy":
            sys.exit(f"{url}: {component} is {status}")


if __name__ == "__main__":
    main()

"""Addresses that lead on for ever: growing paths, calendars, session ids. Pure functions over normalised addresses."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from urllib.parse import urlsplit, urlunsplit

MAX_SEGMENTS = 20
"""Segments of a path; hardly a real page has more than twelve."""

FIRST_YEAR = 1990
YEARS_AHEAD = 2

_SEGMENTS_COMPARED = 60
_REPETITIONS = 3
_LOOSE_REPETITIONS = 4
_SHARD = re.compile(r"\d+|.")
"""Numbers and single characters: stores of files spread them over /1/1/1/, calendars over /10/10/."""

_CALENDAR_WORD = re.compile(
    r"(?:^|[/._-])(?:calendar|cal|kalender|calendrier|calendario|agenda|events?|schedule|veranstaltungen|termine)"
    r"(?=[/._-]|$)",
    re.IGNORECASE,
)
_YEAR_NAMES = frozenset({"year", "y", "yr", "yyyy", "jahr", "annee", "ano", "anno"})
_MONTH_NAMES = frozenset({"month", "m", "mon", "mm", "monat", "mois", "mes", "mese"})
_DAY_NAMES = frozenset({"day", "d", "dd", "tag", "jour", "dia", "giorno"})
_WEEK_NAMES = frozenset({"week", "w", "kw", "woche"})
_DATE_NAMES = frozenset(
    {"date", "day", "month", "week", "start", "end", "from", "to", "since", "until", "start_date", "end_date"}
    | {"date_from", "date_to", "datum", "tribe-bar-date"}
)

_YEAR_PART, _MONTH_PART, _DAY_PART = r"(?P<y>\d{4})", r"(?P<m>0?[1-9]|1[0-2])", r"(?P<d>0?[1-9]|[12]\d|3[01])"
_DATE_VALUE = re.compile(rf"{_YEAR_PART}-{_MONTH_PART}(?:-{_DAY_PART})?(?:[T ][\d:.+Z-]*)?")
_DATE_IN_PATH = re.compile(
    rf"(?<![\w-]){_YEAR_PART}(?P<separator>[/-])(?:0[1-9]|1[0-2])(?P=separator)(?:0[1-9]|[12]\d|3[01])(?![\w-])"
)
_YEAR_AND_MONTH = re.compile(rf"/{_YEAR_PART}[/-]{_MONTH_PART}(?![\w-])")
_DATE_AT_END = re.compile(
    r"(?<!\d)(?P<y>1[89]\d\d|2[0-2]\d\d)(?P<first>[/_-])(?P<m>0?[1-9]|1[0-2])(?:(?P<second>(?P=first))(?P<d>0?[1-9]|[12]\d|3[01]))?"
    r"(?P<end>/?(?:\.\w{1,5}|/(?:index\.\w{1,5}|day|week|month|list)/?)?)$"
)
_DAY_NUMBER_AT_END = re.compile(
    r"(?<=[/_-])(?P<y>19\d\d|20\d\d)(?P<m>0[1-9]|1[0-2])(?P<d>0[1-9]|[12]\d|3[01])(?P<end>/?|\.\w{1,5})$"
)

_SESSION_IN_PATH = re.compile(r";(?:jsessionid|phpsessid|sid|sessionid)=[^/?;]*", re.IGNORECASE)
_COOKIELESS_SESSION = re.compile(r"/\(S\([a-z0-9]{16,64}\)\)(?=/)", re.IGNORECASE)
_SESSION_NAME = re.compile(
    r"jsessionid|phpsessid|phpsession|aspsessionid\w*|asp\.net_sessionid|cftoken|oscsid|zenid|sess(?:ion)?[_-]?id|sesskey",
    re.IGNORECASE,
)
_SESSION_NAME_OR_ANOTHER = frozenset({"sid", "session", "sess", "ses", "sessid", "token"})
_TOKEN = re.compile(r"[\w.~-]{8,}")
_LONG_TOKEN = re.compile(r"(?=\D*\d)[\w.~-]{16,}")
_TRACKING = frozenset(
    {"gclid", "gclsrc", "dclid", "gbraid", "wbraid", "fbclid", "msclkid", "yclid", "twclid", "ttclid", "igshid"}
    | {"mc_cid", "mc_eid", "_ga", "_gl", "_hsenc", "_hsmi", "mkt_tok", "vero_id", "oly_enc_id", "oly_anon_id"}
)


def trap_in(url: str) -> str | None:
    """Why ``url`` must be a trap: ``repeating_path``, ``long_path``, ``calendar``; None for an ordinary address.

    A path repeats when a segment, or a sequence of them, stands in it three times in a row, or one segment four times
    anywhere. A calendar is a date outside of 1990 to two years ahead.
    """
    parts = urlsplit(url)
    segments = [segment for segment in parts.path.split("/") if segment]
    if _repeats(segments[:_SEGMENTS_COMPARED]):
        return "repeating_path"
    if len(segments) > MAX_SEGMENTS:
        return "long_path"
    last = datetime.now(UTC).year + YEARS_AHEAD
    if any(not FIRST_YEAR <= year <= last for year in _years(parts.path, parts.query)):
        return "calendar"
    return None


def without_session(url: str) -> str:
    """``url`` without session ids and tracking parameters; nothing else is changed, and not twice."""
    parts = urlsplit(url)
    path = _COOKIELESS_SESSION.sub("", _SESSION_IN_PATH.sub("", parts.path))
    kept = [pair for pair in parts.query.split("&") if not _is_dropped(pair)]
    query = parts.query if len(kept) == parts.query.count("&") + 1 else "&".join(kept)
    if (path, query) == (parts.path, parts.query):
        return url
    return urlunsplit((parts.scheme, parts.netloc, path or "/", query, parts.fragment))


def date_shape(url: str) -> str | None:
    """``url`` with its dates replaced, as in ``/cal/{y}/{m}`` or ``/cal?month={m}&year={y}``.

    None unless a date is what the path ends in, or what parameters hold: an article whose name stands behind a date
    is no leaf of a calendar.
    """
    parts = urlsplit(url)
    pairs = parts.query.split("&") if parts.query else []
    names = {_named(pair)[0] for pair in pairs}
    has_year = not names.isdisjoint(_YEAR_NAMES)
    query = "&".join(_shape_of_pair(pair, has_year) for pair in pairs)
    path = _DATE_AT_END.sub(_shape_of_date, parts.path)
    if path == parts.path:
        path = _DAY_NUMBER_AT_END.sub(r"{y}{m}{d}\g<end>", path)
    if (path, query) == (parts.path, parts.query):
        return None
    return f"{parts.scheme}://{parts.netloc}{path}" + (f"?{query}" if query else "")


def path_of(url: str) -> str:
    """``url`` without its query: what pages that differ in their query alone have in common."""
    return url.partition("#")[0].partition("?")[0]


def _repeats(segments: list[str]) -> bool:
    for length in range(1, len(segments) // _REPETITIONS + 1):
        in_a_row = 0
        for one, next_one in zip(segments, segments[length:], strict=False):
            in_a_row = in_a_row + 1 if one == next_one and not (length == 1 and _SHARD.fullmatch(one)) else 0
            if in_a_row >= length * (_REPETITIONS - 1):
                return True
    words = [segment for segment in segments if not _SHARD.fullmatch(segment)]
    return any(words.count(word) >= _LOOSE_REPETITIONS for word in set(words))


def _years(path: str, query: str) -> list[int]:
    """Years of the dates in an address; a number that merely could be a year does not count."""
    is_calendar = _CALENDAR_WORD.search(path) is not None
    years = [int(match["y"]) for match in _DATE_IN_PATH.finditer(path)]
    if is_calendar:
        years += [int(match["y"]) for match in _YEAR_AND_MONTH.finditer(path)]
    pairs = [_named(pair) for pair in query.split("&")] if query else []
    is_calendar = is_calendar or any(name in _MONTH_NAMES | _WEEK_NAMES for name, _ in pairs)
    for name, value in pairs:
        if name in _DATE_NAMES and (match := _DATE_VALUE.fullmatch(value)):
            years.append(int(match["y"]))
        elif is_calendar and name in _YEAR_NAMES and value.lstrip("-").isdecimal():
            years.append(int(value))
    return years


def _named(pair: str) -> tuple[str, str]:
    name, _, value = pair.partition("=")
    return name.lower(), value


def _shape_of_pair(pair: str, has_year: bool) -> str:
    name, _, value = pair.partition("=")
    lower = name.lower()
    if lower in _DATE_NAMES and (match := _DATE_VALUE.fullmatch(value)):
        return f"{name}=" + ("{y}-{m}-{d}" if match["d"] else "{y}-{m}")
    if has_year and value.lstrip("-").isdecimal():
        for names, placeholder in (
            (_YEAR_NAMES, "{y}"),
            (_MONTH_NAMES, "{m}"),
            (_DAY_NAMES, "{d}"),
            (_WEEK_NAMES, "{w}"),
        ):
            if lower in names:
                return f"{name}={placeholder}"
    return pair


def _shape_of_date(match: re.Match[str]) -> str:
    day = f"{match['second']}{{d}}" if match["d"] else ""
    return f"{{y}}{match['first']}{{m}}{day}{match['end']}"


def _is_dropped(pair: str) -> bool:
    name, value = _named(pair)
    if name in _TRACKING or name.startswith("utm_"):
        return True
    if _SESSION_NAME.fullmatch(name):
        return _TOKEN.fullmatch(value) is not None
    return name in _SESSION_NAME_OR_ANOTHER and _LONG_TOKEN.fullmatch(value) is not None

"""All that a system shows or stores, as bytes to search. In: folders, database, site; out: names and bytes."""

import io
import zipfile
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import urljoin, urlsplit

import pyarrow.parquet as pq
from django.db import connection
from django.test import Client

Surface = tuple[str, bytes]


def files(folder: Path) -> Iterator[Surface]:
    """Every file by name and content; Parquet, zip and npz unpacked."""
    for path in sorted(folder.rglob("*")):
        yield f"name {path}", str(path.relative_to(folder)).encode()
        if path.is_file():
            yield from _unpacked(str(path), path.read_bytes())


def tables() -> Iterator[Surface]:
    """Every column of every table."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in cursor.fetchall():
            cursor.execute(f'SELECT t::text FROM "{table}" t')  # noqa: S608 - a name from the catalogue
            yield f"table {table}", "\n".join(row for (row,) in cursor.fetchall()).encode()


def pages(client: Client, starts: list[str], most: int = 400) -> Iterator[Surface]:
    """Every address that is reached from `starts` by links of pages and addresses in JSON."""
    seen, waiting = set(starts), list(starts)
    while waiting and len(seen) < most:
        address = waiting.pop(0)
        response = client.get(address)
        content = b"".join(response.streaming_content) if response.streaming else response.content
        headers = repr(sorted(response.headers.items())).encode()
        yield f"{response.status_code} {address}", headers
        yield from _unpacked(f"{response.status_code} {address}", content)
        if "html" in response.headers.get("Content-Type", ""):
            for link in _links(content.decode()):
                url = urlsplit(urljoin(address, link))
                found = url.path + (f"?{url.query}" if url.query else "")
                if not url.netloc and found not in seen and "logout" not in found and not found.startswith("/static/"):
                    seen.add(found)
                    waiting.append(found)


def _unpacked(name: str, content: bytes) -> Iterator[Surface]:
    yield name, content
    if content.startswith(b"PAR1"):
        yield f"{name} (rows)", repr(pq.read_table(io.BytesIO(content)).to_pylist()).encode()
    elif content.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            for member in archive.namelist():
                yield f"{name}/{member} (name)", member.encode()
                yield from _unpacked(f"{name}/{member}", archive.read(member))


def _links(html: str) -> list[str]:
    found: list[str] = []

    class Links(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            found.extend(value for name, value in attributes if name in ("href", "src", "hx-get") and value)

    Links().feed(html)
    return found

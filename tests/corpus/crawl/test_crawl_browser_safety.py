"""A browser connects where the crawl may, ends with it, and its death is not the end of the crawl."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.corpus.crawl.browsers import browser_is_installed, draw, texts  # noqa: F401
from tests.corpus.crawl.conftest import Reply, Site, outcomes, redirect

# Whatever a page may do to have something connected to; TARGET is an address that the crawl may not go to.
HOSTILE = """
<html><head>
  <link rel=preload as=script href=http://TARGET/preload><link rel=preconnect href=http://TARGET/>
  <link rel=prefetch href=http://TARGET/prefetch><link rel=stylesheet href=http://TARGET/css>
</head><body><main>Tried: </main>
  <img src=http://TARGET/img><iframe src=http://TARGET/frame></iframe><object data=http://TARGET/object></object>
  <embed src=http://TARGET/embed><video src=http://TARGET/video></video>
  <form id=form action=http://TARGET/form target=_blank></form>
  <script async src=http://TARGET/script></script>
  <script>
    const main = document.querySelector('main');
    const attempt = async (name, action) => {
      try { await action(); main.textContent += ` ${name} done`; } catch { main.textContent += ` ${name} refused`; }
    };
    const opened = socket => new Promise((resolve, reject) => { socket.onopen = resolve; socket.onerror = reject; });
    const peer = async (scope, server) => {
      const connection = new scope.RTCPeerConnection({iceServers: server && [server]});
      connection.createDataChannel('x');
      await connection.setLocalDescription(await connection.createOffer());
    };
    const frame = document.createElement('iframe');
    document.body.append(frame);
    for (const host of ['TARGET', '0x7f000002:PORT', '[::ffff:127.0.0.2]:PORT'])
      attempt('fetch', () => fetch(`http://${host}/fetch`, {mode: 'no-cors'}).then(answer => answer.text()));
    attempt('tls', () => fetch('https://TARGET/tls', {mode: 'no-cors'}));
    attempt('bounce', () => fetch('/bounce', {mode: 'cors'}));
    attempt('events', () => opened(new EventSource('http://TARGET/events')));
    attempt('ws', () => opened(new WebSocket('ws://TARGET/ws')));
    attempt('wss', () => opened(new WebSocket('wss://TARGET/wss')));
    attempt('transport', () => new WebTransport('https://TARGET/transport').ready);
    for (const url of ['stun:TARGET', 'turn:TARGET?transport=udp', 'turn:TARGET?transport=tcp', 'turns:TARGET'])
      for (const scope of [window, frame.contentWindow])
        attempt('peer', () => peer(scope, {urls: url, username: 'a', credential: 'b'}));
    attempt('worker', () => new Promise((resolve, reject) => {
      new Worker('/worker.js').onmessage = message => message.data ? resolve() : reject();
    }));
    navigator.sendBeacon('http://TARGET/beacon');
    window.open('http://TARGET/popup');
    form.submit();
  </script>
</body></html>
"""
WORKER = "fetch('http://TARGET/worker', {mode: 'no-cors'}).then(() => postMessage(true), () => postMessage(false))"
PEER = """
async address => {
  const offering = new RTCPeerConnection({iceServers: [{urls: 'stun:' + address}]});
  const answering = new RTCPeerConnection();
  offering.createDataChannel('x');
  await offering.setLocalDescription(await offering.createOffer());
  await answering.setRemoteDescription(offering.localDescription);
  await answering.setLocalDescription(await answering.createAnswer());
  await offering.setRemoteDescription(answering.localDescription);
  const [host, port] = address.split(':');
  const candidate = `candidate:1 1 udp 2122260223 ${host} ${port} typ host`;
  await offering.addIceCandidate({candidate, sdpMid: '0'});
  while (offering.iceGatheringState != 'complete') await new Promise(resolve => setTimeout(resolve, 10));
}
"""
DRAW_IN_A_TASK = """
import sys
from tests.corpus.crawl.browsers import draw
draw(sys.argv[1], sys.argv[2], timeout_s=600)
"""


class Target:
    """A port of 127.0.0.2 for TCP and for UDP that nobody may connect to."""

    def __init__(self) -> None:
        self.tcp = socket.create_server(("127.0.0.2", 0))
        self.port = self.tcp.getsockname()[1]
        self.udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.udp.bind(("127.0.0.2", self.port))
        self.udp.setblocking(False)
        self.tcp.setblocking(False)

    @property
    def address(self) -> str:
        return f"127.0.0.2:{self.port}"

    def fill(self, text: str) -> Reply:
        return Reply(text.replace("TARGET", self.address).replace("PORT", str(self.port)).encode())

    def connections(self) -> int:
        """How many wait to be accepted."""
        count = 0
        with suppress(BlockingIOError):
            while True:
                self.tcp.accept()[0].close()
                count += 1
        return count

    def has_datagram(self) -> bool:
        with suppress(BlockingIOError):
            return bool(self.udp.recv(1))
        return False

    def close(self) -> None:
        self.tcp.close()
        self.udp.close()


@pytest.fixture
def target() -> Iterator[Target]:
    target = Target()
    yield target
    target.close()


@pytest.mark.parametrize("allowed", ["127.0.0.1", "127.0.0.0/8"])
def test_no_page_can_have_the_browser_connect_to_an_address_that_is_not_listed(
    site: Site, target: Target, tmp_path: Path, allowed: str
) -> None:
    site.pages["/"] = target.fill(HOSTILE)
    site.pages["/worker.js"] = target.fill(WORKER)
    site.pages["/worker.js"].content_type = "text/javascript"
    site.pages["/bounce"] = redirect(f"http://{target.address}/bounced")

    # robots.txt of the target would be refused, and nothing else asked of it: the proxy alone has to hold.
    result = draw(site.url, tmp_path / "out", allow_networks=[allowed], obey_robots=False, javascript_wait_s=3)

    if allowed == "127.0.0.1":
        assert target.connections() == 0
        (said,) = texts(result).values()
        assert said.count("peer refused") == 8
        assert "worker" in said
        assert {"/bounce", "/worker.js"} <= set(site.served)
    else:
        assert target.connections() > 0, "the page has no teeth"
    assert not target.has_datagram()


def test_a_page_that_goes_to_an_address_that_is_not_listed_goes_nowhere(
    site: Site, target: Target, tmp_path: Path
) -> None:
    site.pages["/"] = target.fill("<main></main><script>location.href = 'http://TARGET/location'</script>")

    result = draw(site.url, tmp_path / "out", allow_networks=["127.0.0.1"], obey_robots=False)

    assert target.connections() == 0
    assert list(outcomes(result.uri).values()) == ["offsite_redirect"]


def test_the_browser_itself_sends_no_datagrams(target: Target) -> None:
    from playwright.async_api import async_playwright

    from airflow_provider_autoglm.corpus.crawl.browser import launch

    async def connect() -> None:
        async with async_playwright() as playwright:
            browser = await launch(playwright.chromium, "http://127.0.0.1:9")
            page = await browser.new_page()
            await page.goto("data:text/html,<p>")
            await page.evaluate(PEER, target.address)
            await browser.close()

    asyncio.run(connect())

    assert not target.has_datagram()


@pytest.fixture
def stuck(site: Site) -> Site:
    """A page that is drawn once the test answers what its script asks for, and one whose script never ends then."""
    for path, then in (("/", "document.querySelector('main').textContent = text"), ("/busy", "for (;;);")):
        script = f"fetch('/data').then(answer => answer.text()).then(text => {{ {then} }})"
        site.pages[path] = Reply(f"<main></main><nav><a href=/busy>next</a></nav><script>{script}</script>".encode())
    site.pages["/data"] = Reply(b"Said by the script.", content_type="text/plain")
    site.held.add("/data")
    return site


def wait_for_data(site: Site, times: int) -> None:
    with site.changed:
        assert site.changed.wait_for(lambda: site.served.count("/data") >= times, timeout=60), site.served


def named(process: psutil.Process, name: str) -> list[psutil.Process]:
    return [child for child in process.children(recursive=True) if name in child.name()]


def is_browser(process: psutil.Process) -> bool:
    """Whether it is the browser's first process."""
    with suppress(psutil.NoSuchProcess):
        return "--proxy-server" in " ".join(process.cmdline()) and "--type=" not in " ".join(process.cmdline())
    return False


def test_a_page_whose_browser_is_killed_is_drawn_by_another_one(
    stuck: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "marked-secret")
    monkeypatch.setenv("CHROMIUM_FLAGS", "--disable-web-security")
    stuck.pages["/busy"] = Reply(b"<main>The page after it.</main>")
    with ThreadPoolExecutor(1) as pool:
        attempt = pool.submit(draw, stuck.url, tmp_path / "out", timeout_s=60, retries=2)
        wait_for_data(stuck, 1)
        (browser,) = filter(is_browser, psutil.Process().children(recursive=True))
        command, environment = browser.cmdline(), browser.environ()
        limit = browser.rlimit(psutil.RLIMIT_DATA)[0]
        browser.kill()
        wait_for_data(stuck, 2)
        # Of the driver's end scrapy-playwright hears nothing.
        (driver,) = named(psutil.Process(), "node")
        driver.kill()
        wait_for_data(stuck, 3)
        stuck.release.set()
        result = attempt.result()

    assert texts(result) == {"/": "Said by the script.", "/busy": "The page after it."}
    assert stuck.served.count("/") == 1
    # The first one had few rights.
    assert "marked-secret" not in str(environment)
    assert "--disable-web-security" not in command
    assert ("--no-sandbox" in command) == (os.geteuid() == 0)
    assert "--disable-popup-blocking" not in command
    assert 0 < limit < 2**31


def test_a_page_that_takes_all_memory_is_rejected_and_the_next_one_is_not(site: Site, tmp_path: Path) -> None:
    site.add("/", "/hungry", "/modest")
    site.pages["/hungry"] = Reply(
        b"<p>More</p><script>const all = []; for (;;) all.push(Array(3e7).fill(1.5))</script>"
    )
    site.add("/modest")

    result = draw(site.url, tmp_path / "out", timeout_s=60)

    assert outcomes(result.uri)[f"{site.url}/hungry"] == "browser_crashed"
    assert set(texts(result)) == {"/", "/modest"}
    assert site.served.count("/hungry") == 1


@pytest.mark.parametrize("end", ["task killed", "task terminated", "crawl killed"])
def test_nothing_of_the_browser_outlives_the_crawl(stuck: Site, tmp_path: Path, end: str) -> None:
    stuck.pages["/"] = stuck.pages["/busy"]
    stuck.release.set()
    task: subprocess.Popen[Any] = subprocess.Popen(
        [sys.executable, "-c", DRAW_IN_A_TASK, stuck.url, str(tmp_path / "out")], stderr=subprocess.DEVNULL
    )
    try:
        wait_for_data(stuck, 1)
        (crawl,) = psutil.Process(task.pid).children()
        processes = crawl.children(recursive=True)
        assert any(map(is_browser, processes))
        {"task killed": task.kill, "task terminated": task.terminate, "crawl killed": crawl.kill}[end]()
        task.wait(60)
    finally:
        task.kill()

    _, alive = psutil.wait_procs([crawl, *processes], timeout=60)
    assert not alive

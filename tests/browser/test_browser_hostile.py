"""A page full of hostile labels runs nothing and asks for nothing, in a browser that would do both."""

import http.server
import threading

import pytest

from auditor.reports.html import render
from tests.browser.chromium import opened
from tests.reports.invented import hostile_everywhere, report

LABELS = [
    "<script>window.owned=1;alert(1)</script>",
    '"><img src=x onerror="window.owned=1">',
    "' autofocus onfocus='window.owned=1",
    "javascript:window.owned=1",
    "<a href=javascript:window.owned=1>x</a>",
    "<svg onload=window.owned=1><image href=http://127.0.0.1:9/x></svg>",
    "</style><style>@import 'http://127.0.0.1:9/x'</style>",
    "</script><script src=http://127.0.0.1:9/x></script>",
    "</details></section></main><meta http-equiv=refresh content='0;url=http://127.0.0.1:9/'>",
    "<base href=http://127.0.0.1:9/><link rel=stylesheet href=x><iframe srcdoc='<script>1</script>'>",
    "{{ 7*7 }}{% raw %}{# #}${7*7}",
    "\u202egnp.exe\u2066\u200b",
    "&lt;script&gt;&#x3c;img src=x onerror=window.owned=1&#x3e;",
    "x" * 10_000,
    "\u65e5" * 10_000,
    "<" * 10_000,
]
COUNTS = "() => Object.fromEntries(['script', 'style', 'img', 'image', 'iframe', 'link', 'base', 'meta', 'object', 'embed'].map((name) => [name, document.getElementsByTagName(name).length]))"
HANDLERS = "() => [...document.querySelectorAll('*')].flatMap((one) => one.getAttributeNames()).filter((name) => name.startsWith('on') || name === 'style' || name === 'src')"


@pytest.fixture(scope="module")
def plain(browser, tmp_path_factory):
    path = tmp_path_factory.mktemp("plain") / "report.html"
    path.write_bytes(render(hostile_everywhere("x")))
    return opened(browser, path).page.evaluate(COUNTS)


@pytest.mark.parametrize("label", LABELS, ids=range(len(LABELS)))
def test_a_hostile_label_does_nothing(browser, tmp_path, plain, label):
    path = tmp_path / "report.html"
    path.write_bytes(render(hostile_everywhere(label)))
    seen = opened(browser, path, width=360)
    page = seen.page
    page.evaluate("() => { for (const one of document.querySelectorAll('details')) one.open = true; }")
    for one in page.locator("summary").all()[:3]:
        one.focus()
    assert page.evaluate("window.owned") is None
    assert page.evaluate(COUNTS) == plain
    assert page.evaluate(HANDLERS) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.url == seen.url
    seen.assert_quiet()


@pytest.fixture
def listener():
    """A server on this machine, and the paths it was asked for."""
    asked = []

    class Asked(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            """Nothing is printed."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Asked) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@pytest.mark.parametrize("guarded", [True, False])
def test_the_policy_stops_what_the_escaping_would_let_through(browser, tmp_path, listener, guarded):
    """With the escaping taken away nothing runs and nobody is asked; without the policy too, both happen."""
    host, asked = listener
    tricks = "".join(LABELS[place] for place in (0, 1, 5, 7)).replace("http://127.0.0.1:9", host)
    source = render(report()).decode()
    spoilt = source.replace("</main>", f"{tricks}<link rel=stylesheet href={host}/s><img src={host}/i></main>")
    assert spoilt != source
    path = tmp_path / "report.html"
    path.write_text(spoilt if guarded else spoilt.replace("Content-Security-Policy", "x"), encoding="utf-8")
    seen = opened(browser, path, online=True)
    seen.page.wait_for_load_state("load")
    assert (seen.page.evaluate("window.owned") == 1) is not guarded
    assert bool(seen.dialogs) is not guarded
    assert bool(asked) is not guarded
    assert any("Content Security Policy" in line for line in seen.said) is guarded

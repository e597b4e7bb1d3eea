"""One class of ccxt without the rest: a fresh process each, because what is imported stays imported."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from auditor.exchanges import _load, _venue

CLASSES = sorted(
    {made.ccxt_class for one in _venue.ids() if (made := _load.connector(one)) is not None and made.ccxt_class}
)


def told(script: str) -> Any:
    """What a script prints, as JSON, in a process of its own."""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, check=True, timeout=120)
    return json.loads(done.stdout)


def test_every_class_that_is_used_comes_alone() -> None:
    found = told(f"""
import json, sys
from auditor.exchanges import _ccxt
made = {{name: _ccxt.exchange_class(name).__name__ for name in {CLASSES!r}}}
ran = [name for name in ("ccxt", "ccxt.async_support") if sys.modules[name].ran]
print(json.dumps([made, ran, sum(name.startswith("ccxt.") for name in sys.modules)]))
""")
    assert found[0] == {name: name for name in CLASSES}
    assert found[1] == []
    assert found[2] < 100 + 3 * len(CLASSES), "about all exchanges were imported"


def test_afterwards_ccxt_is_what_it_always_was_and_no_class_exists_twice() -> None:
    found = told("""
import json
from auditor.exchanges import _ccxt
okx, us = _ccxt.exchange_class("okx"), _ccxt.exchange_class("binanceus")
import ccxt, ccxt.async_support
early = ccxt.BaseError
print(json.dumps({
    "classes": ccxt.async_support.okx is okx and ccxt.async_support.binanceus is us,
    "parent": ccxt.async_support.binance in us.__mro__,
    "errors": early is ccxt.BaseError and ccxt.async_support.BaseError is early,
    "sync": isinstance(ccxt.okx, type) and issubclass(ccxt.okx, ccxt.Exchange),
    "listed": "okx" in ccxt.exchanges and "okx" in dir(ccxt),
    "version": ccxt.__version__ == ccxt.async_support.__version__,
    "absent": not hasattr(ccxt, "nothing_of_this_name"),
    "makes": ccxt.okx().id == "okx",
}))
""")
    assert all(found.values()), found


def test_a_program_that_uses_ccxt_itself_keeps_its_own() -> None:
    found = told("""
import json, types
import ccxt.async_support
from auditor.exchanges import _ccxt
print(json.dumps([_ccxt.exchange_class("okx") is ccxt.async_support.okx, type(ccxt) is types.ModuleType]))
""")
    assert found == [True, True]


def test_what_ccxt_does_not_have_is_an_error_and_leaves_the_rest_usable() -> None:
    found = told("""
import json
from auditor.exchanges import _ccxt
try:
    _ccxt.exchange_class("no_such_exchange")
except AttributeError as error:
    told = str(error)
print(json.dumps([told, _ccxt.exchange_class("kraken").__name__]))
""")
    assert "no_such_exchange" in found[0] and found[1] == "kraken"


def test_star_imports_and_threads_get_the_whole() -> None:
    found = told("""
import json, threading
from auditor.exchanges import _ccxt
_ccxt.exchange_class("okx")
import ccxt.async_support
got = []
threads = [threading.Thread(target=lambda: got.append(ccxt.async_support.kraken.__name__)) for _ in range(8)]
[one.start() for one in threads]
[one.join(60) for one in threads]
scope = {}
exec("from ccxt import *", scope)
print(json.dumps([got, "okx" in scope]))
""")
    assert found == [["kraken"] * 8, True]

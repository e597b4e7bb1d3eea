"""One class of ccxt without the rest: its packages import every exchange they know, which takes half a second and 60 MB.

Their `__init__` waits until somebody asks for what only it can give, and then runs in place: for the rest of the program
ccxt is what it always was, and every class in it exists once. Knows nothing of signing.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
import threading
from types import ModuleType
from typing import Any

_SHORTCUTS = {
    "ccxt": ("ccxt.base.exchange", "ccxt.base.errors"),
    "ccxt.async_support": ("ccxt.async_support.base.exchange", "ccxt.base.errors"),
}
"""Package -> the modules that hold what its own modules import from it: the base class and the errors."""
_LATE = frozenset({"__all__", "__version__"})
_lock = threading.Lock()


def exchange_class(name: str) -> type:
    """The asynchronous class of one exchange. Raises AttributeError where ccxt has none of this name."""
    with _lock:
        for package in _SHORTCUTS:
            if package not in sys.modules:
                _lay(package)
    try:
        found = getattr(importlib.import_module(f"ccxt.async_support.{name}"), name)
    except ImportError:  # a ccxt that is laid out in another way: all of it, then
        found = getattr(importlib.import_module("ccxt.async_support"), name)
    finally:
        for package in _SHORTCUTS:
            _forget_modules(sys.modules[package])
    assert isinstance(found, type)
    return found


def _lay(package: str) -> None:
    """Puts a package where imports find it, without running it."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.loader is not None
    module = _Waiting(package, spec.loader.__doc__)
    module.__spec__, module.__loader__, module.__file__ = spec, spec.loader, spec.origin
    module.__package__, module.__path__ = package, list(spec.submodule_search_locations or ())
    sys.modules[package] = module
    parent, _, last = package.rpartition(".")
    if parent:
        setattr(sys.modules[parent], last, module)


def _forget_modules(package: ModuleType) -> None:
    """An import leaves a module under the name that the package gives to the class in it: asked again, it shall say the class."""
    if isinstance(package, _Waiting) and not package.ran:
        for name, held in list(vars(package).items()):
            if isinstance(held, ModuleType) and not hasattr(held, "__path__"):
                delattr(package, name)


class _Waiting(ModuleType):
    """A package that runs when it is asked for a name that it does not have yet."""

    ran = False
    _runner: int | None = None

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name not in _LATE:
            raise AttributeError(name)
        for place in _SHORTCUTS[self.__name__] if name not in _LATE else ():
            held = vars(importlib.import_module(place))
            if name in held and (name == "Exchange" or place.endswith("errors")):
                return held[name]
        if not self.ran and self._runner != threading.get_ident():
            self._run()
            if name in vars(self):
                return vars(self)[name]
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __dir__(self) -> list[str]:
        if not self.ran:
            self._run()
        return sorted(vars(self))

    def _run(self) -> None:
        """Not under a lock: two threads that run it at once bind the same names twice, where waiting for each other's
        imports could last for ever.
        """
        spec = self.__spec__
        assert spec is not None
        assert spec.loader is not None
        self._runner = threading.get_ident()
        try:
            spec.loader.exec_module(self)
            self.ran = True
        finally:
            self._runner = None

"""Event loops for Orbax, whose threads may call a loop after its end."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def that_may_be_late() -> Iterator[None]:
    """Event loops that are created meanwhile ignore calls after they are closed.

    If an array cannot be written, Orbax raises that error and closes its loop.  The threads that write the
    other arrays would then print a traceback each, and the loop an exception that nobody retrieved.
    """
    import asyncio

    class Loop(asyncio.SelectorEventLoop):
        def call_soon_threadsafe(self, *args: Any, **kwargs: Any) -> Any:  # type: ignore[override]
            try:
                return super().call_soon_threadsafe(*args, **kwargs)
            except RuntimeError:
                if self.is_closed():
                    return None
                raise

        def call_exception_handler(self, context: dict[str, Any]) -> None:
            pass

    class Policy(asyncio.DefaultEventLoopPolicy):
        _loop_factory = Loop

    before = asyncio.get_event_loop_policy()
    asyncio.set_event_loop_policy(Policy())
    try:
        yield
    finally:
        asyncio.set_event_loop_policy(before)

"""Event loops for a library whose threads outlive them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any


@contextlib.contextmanager
def that_may_be_late() -> Iterator[None]:
    """Loops made meanwhile take no offence at a thread that calls once they are closed.

    Where one array cannot be written, Orbax raises that and closes its loop.  The threads that write the
    others would then print a traceback for each of them, and the loop what nobody came to ask for.
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

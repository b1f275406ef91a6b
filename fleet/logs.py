"""Where the running commands write what happens: one place for structlog and the standard library's loggers."""

from __future__ import annotations

import logging
import sys
from typing import Any, TextIO

import structlog


def configure_logs(*, json: bool = False, stream: TextIO | None = None) -> None:
    """Lines for people where `stream` (stderr by default) is a terminal, JSON lines elsewhere or with `json`.

    Never stdout: that carries data. Of other people's libraries only warnings are kept.
    """
    stream = stream if stream is not None else sys.stderr
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Any]
    if stream.isatty() and not json:
        last = [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    else:
        last = [structlog.processors.format_exc_info, structlog.processors.JSONRenderer(ensure_ascii=False)]
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("fleet").setLevel(logging.INFO)
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
    )

"""What the page gets for a question: the result, or one line that says why there is none."""

import logging
from collections.abc import Callable
from typing import Any

from autolink_gen.common.files import reason_of

logger = logging.getLogger(__name__)


def answer_of(work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """The result, or one line under "error"; what nobody expected goes to the log too."""
    try:
        return work()
    except (ValueError, OSError, MemoryError) as error:
        return {"error": reason_of(error)}
    except Exception as error:
        logger.exception("the studio could not answer")
        return {"error": f"that failed: {reason_of(error)}"}

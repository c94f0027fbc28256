"""Who may ask for what is stored: whoever has the key."""

import hmac
import logging
from typing import Annotated

from fastapi import HTTPException, Security
from fastapi.security import APIKeyHeader

from fedhealth.keys import key_file, load_key
from fedhealth.serving.errors import Unavailable

HEADER = APIKeyHeader(name="X-API-Key", auto_error=False, description="FEDHEALTH_API_KEY, or the key in its file")
logger = logging.getLogger(__name__)


def prepare_key() -> None:
    """Make the key where there is none, when the API starts."""
    try:
        load_key(create=True)
    except OSError as error:
        logger.warning("no key could be made (%s); set FEDHEALTH_API_KEY, or nothing stored can be asked for", error)


async def need_key(given: Annotated[str | None, Security(HEADER)] = None) -> None:
    """Let nobody pass without the key."""
    try:
        key = load_key()
    except (OSError, UnicodeDecodeError):
        key = None
    if key is None:
        raise Unavailable(f"there is no key: set FEDHEALTH_API_KEY, or start the API where it can write {key_file()}")
    if not hmac.compare_digest((given or "").encode(), key.encode()):
        detail = "the key is wrong" if given else "this needs the key"
        raise HTTPException(401, f"{detail}; send it in the header X-API-Key", {"WWW-Authenticate": "APIKey"})

"""Reading a request's body, up to a limit."""

from fastapi import Request

from fedhealth.serving.errors import too_large


async def read_body(request: Request, limit: int) -> bytes:
    """The request's body; hardly more than ``limit`` bytes are ever held. It ends early where the client went away.

    Raises:
        Refused: the body is larger (413).
    """
    body, more = bytearray(), True
    while more:
        message = await request.receive()
        body += message.get("body", b"")
        if len(body) > limit:
            raise too_large(limit)
        more = message.get("more_body", False)
    return bytes(body)

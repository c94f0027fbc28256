"""Reading a request's body, up to a limit."""

from fastapi import Request

from fedhealth.serving.errors import Refused, problem


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
            raise Refused([problem(None, None, "the body is too large", f"at most {limit} bytes")], status=413)
        more = message.get("more_body", False)
    return bytes(body)

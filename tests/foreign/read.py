"""How the official Python SDK's servers read a message: over HTTP in either era, and over stdio.

Reads one body a line, base64. Prints one JSON object a line: for each of its parsers what it makes
of the body, null where it refuses it.
"""

import base64
import json
import struct
import sys

import pydantic_core
from mcp.types import JSONRPCRequest, jsonrpc_message_adapter
from pydantic import BaseModel


def modern(body):
    """server/_streamable_http_modern.py: only requests are served, extra members are passed over."""
    decoded = json.loads(body)
    if isinstance(decoded, dict) and "id" not in decoded:
        return None
    return JSONRPCRequest.model_validate(decoded)


def legacy(body):
    """server/streamable_http.py."""
    return jsonrpc_message_adapter.validate_python(pydantic_core.from_json(body), by_name=False)


def stdio(body):
    """server/stdio.py: text, one message a line; what is no UTF-8 is replaced."""
    return jsonrpc_message_adapter.validate_json(body.decode("utf-8", "replace"), by_name=False)


def number(value):
    """A number as the double nearest to it, and exactly where that is another number."""
    try:
        double = float(value)
    except OverflowError:
        double = float("inf") if value > 0 else float("-inf")
    told = {"#double": struct.pack(">d", double + 0.0).hex()}
    if isinstance(value, int) and (double in (float("inf"), float("-inf")) or int(double) != value):
        told["#exactly"] = str(value)
    return told


def plain(value, depth_left=100):
    """JSON that every reader reads the same: numbers by their bits, strings by their code units."""
    if depth_left == 0:
        return "#deeper"
    if isinstance(value, BaseModel):
        return {name: plain(getattr(value, name), depth_left - 1) for name in value.model_fields_set}
    if isinstance(value, bool) or value is None:
        return value
    if isinstance(value, (int, float)):
        return number(value)
    if isinstance(value, str):
        return text(value)
    if isinstance(value, list):
        return [plain(item, depth_left - 1) for item in value]
    return {text(name): plain(member, depth_left - 1) for name, member in value.items()}


def text(value):
    try:
        value.encode()
        return value
    except UnicodeEncodeError:
        return "#utf16 " + value.encode("utf-16-be", "surrogatepass").hex()


def reading(parse, body):
    try:
        message = parse(body)
    except (ValueError, RecursionError):
        return None
    return plain(message)


sys.set_int_max_str_digits(0)
for line in sys.stdin:
    body = base64.b64decode(line)
    read = {parse.__name__: reading(parse, body) for parse in (modern, legacy, stdio)}
    print(json.dumps({f"python {name}": value for name, value in read.items()}))

"""A small MCP server on standard streams. Tools do what their names say; `sys.argv[1]` is its era."""
import json, os, sys, threading

modern = sys.argv[1] == "modern"
out = sys.stdout.buffer
lock = threading.Lock()
heard, held, uris = [], [], []
listening = not modern


def raw(line):
    with lock:
        out.write(line + b"\n")
        out.flush()


def send(message):
    raw(json.dumps({"jsonrpc": "2.0", **message}).encode())


def answer(message, result):
    send({"id": message["id"], "result": result})


def refuse(message, code, text):
    send({"id": message["id"], "error": {"code": code, "message": text}})


def introduce(message):
    capabilities = {
        "tools": {"listChanged": True},
        "resources": {"subscribe": True, "listChanged": True},
        "logging": {},
        "experimental": {"x": {}},
    }
    about = {"name": "fake", "version": "9"}
    if modern:
        answer(message, {
            "resultType": "complete", "supportedVersions": ["2026-07-28"], "ttlMs": 5,
            "capabilities": capabilities, "cacheScope": "public", "instructions": "be kind",
            "_meta": {"io.modelcontextprotocol/serverInfo": about},
        })
    else:
        answer(message, {
            "protocolVersion": message["params"]["protocolVersion"],
            "capabilities": capabilities, "serverInfo": about, "instructions": "be kind",
        })


def call(message):
    params = message["params"]
    name, arguments = params["name"], params.get("arguments", {})
    if name == "echo":
        answer(message, {"content": [], "asked": message})
    elif name == "shuffle":
        held.append(message)
        if len(held) == 50:
            for one in reversed(held):
                answer(one, {"n": one["params"]["arguments"]["n"]})
    elif name == "progress":
        for n in range(arguments.get("count", 3)):
            token = params["_meta"]["progressToken"]
            send({"method": "notifications/progress",
                  "params": {"progressToken": token, "progress": n}})
        if arguments.get("then") == "die":
            os._exit(3)
        if arguments.get("then") != "nothing":
            answer(message, {"done": True})
    elif name == "die":
        os._exit(3)
    elif name == "last_words":
        answer(message, {"last": True})
        os._exit(3)
    elif name == "garbage":
        for line in [b"hello", b"[]", b"\xff\xfe", b"", b'{"jsonrpc":"2.0","id":999999,"result":{}}',
                     b'{"jsonrpc":"2.0","id":"%d","result":{}}' % message["id"],
                     b'{"jsonrpc":"2.0","id":null,"result":{}}', b"[" * 5000,
                     b'{"jsonrpc":"2.0","method":"notifications/progress"}',
                     b'{"jsonrpc":"2.0","id":{},"method":7}']:
            raw(line)
        answer(message, {"clean": True})
    elif name == "ambiguous":
        raw(b'{"jsonrpc":"2.0","id":%d,"result":{"a":1,"a":2}}' % message["id"])
    elif name == "long":
        first, last = b'{"jsonrpc":"2.0","id":%d,' % message["id"], b',"id": %d}' % message["id"]
        if message["params"].get("arguments", {}).get("id") == "last":
            raw(b'{"result":{"x":"' + b"x" * 300_000 + b'"},"jsonrpc":"2.0"' + last)
        else:
            raw(first + b'"result":{"x":"' + b"x" * 300_000 + b'"}}')
    elif name == "environment":
        answer(message, {"environment": dict(os.environ), "folder": os.getcwd()})
    elif name == "ask":
        held.append(message)
        for id, method in [("s", "sampling/createMessage"), ("e", "elicitation/create"),
                           ("r", "roots/list"), (7, "ping")]:
            send({"id": id, "method": method, "params": {}})
    elif name == "heard":
        answer(message, {"heard": heard, "uris": uris, "pid": os.getpid()})
    elif name == "announce":
        if not listening:
            return answer(message, {})
        send({"method": "notifications/tools/list_changed", "params": {"secret": "of another"}})
        send({"method": "notifications/message", "params": {"data": "about another"}})
        for uri in arguments.get("uris", []):
            send({"method": "notifications/resources/updated", "params": {"uri": uri}})
        for _ in range(arguments.get("many", 0)):
            send({"method": "notifications/prompts/list_changed"})
        answer(message, {})
    elif name == "no_version":
        raw(b'{"id":%d,"result":{}}' % message["id"])
    elif name == "no_error":
        send({"id": message["id"], "error": {"message": "without a code"}})
    elif name == "missing":
        refuse(message, -32002, "Resource not found")
    # `never` is not answered.


sys.stderr.write("a first word\x1b[2J\n")
for line in sys.stdin:
    message = json.loads(line)
    method = message.get("method")
    if method is None:
        heard.append(message)
        if len(heard) == 4 and held:
            answer(held.pop(), {"heard": heard})
    elif method == "initialize" and not modern or method == "server/discover" and modern:
        introduce(message)
    elif method == "tools/call":
        call(message)
    elif method == "tools/list":
        answer(message, {"tools": [], "asked": message})
    elif method == "subscriptions/listen" and modern:
        listening = message["params"]["notifications"]["toolsListChanged"]
    elif method == "resources/subscribe":
        uris.append("+" + message["params"]["uri"])
        if message["params"]["uri"] == "no:such":
            refuse(message, -32002, "Resource not found")
        else:
            answer(message, {})
    elif method == "resources/unsubscribe":
        uris.append("-" + message["params"]["uri"])
        answer(message, {})
    elif "id" in message:
        refuse(message, -32601, "Method not found")
    else:
        heard.append(message)

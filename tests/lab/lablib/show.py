"""What the demos print with: steps, and the operator's own commands with their output."""
import sys


def step(text):
    print(f"\n\033[1m== {text}\033[0m" if sys.stdout.isatty() else f"\n== {text}", flush=True)


def show(scene, *args):
    print(f"$ drover {' '.join(args)}")
    print(scene.drover(*args).stdout, flush=True)

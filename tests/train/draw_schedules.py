#!/usr/bin/env python3
"""Draws docs/images/schedules.svg from what learning_rate() gives: draw_schedules.py <train_probe> <file>"""
import json
import subprocess
import sys

STEPS, WIDTH, HEIGHT, LEFT, TOP, GAP = 300, 210, 96, 26, 34, 34
PANELS = [
    ("cosine", {"decay": "cosine"}),
    ("linear, min_lr_ratio 0.1", {"decay": "linear", "min_lr_ratio": 0.1}),
    ("constant", {"decay": "constant"}),
    ("cosine_restarts", {"decay": "cosine_restarts"}),
    ("restarts: t_mult 1, peak_decay 0.7",
     {"decay": "cosine_restarts", "restarts": {"t_0": 54, "t_mult": 1, "peak_decay": 0.7}}),
    ("one_cycle", {"decay": "one_cycle"}),
    ("one_cycle, linear, three_phase",
     {"decay": "one_cycle", "one_cycle": {"anneal": "linear", "three_phase": True}}),
    ("wsd (1-sqrt)", {"decay": "wsd"}),
    ("wsd, linear, decay_share 0.4", {"decay": "wsd", "wsd": {"form": "linear", "decay_share": 0.4}}),
]


def main():
    asks = "".join(json.dumps({"steps": STEPS, "lr": 1.0, **options}) + "\n" for _, options in PANELS)
    lines = subprocess.run([sys.argv[1]], input=asks, capture_output=True, text=True,
                           check=True).stdout.splitlines()
    width, height = 3 * (WIDTH + LEFT) + LEFT, 3 * (HEIGHT + TOP + GAP)
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
             'font-family="sans-serif" font-size="10" fill="#333">',
             f'<rect width="{width}" height="{height}" fill="#fff"/>']
    for i, ((title, _), line) in enumerate(zip(PANELS, lines, strict=True)):
        x0, y0 = LEFT + (i % 3) * (WIDTH + LEFT), TOP + (i // 3) * (HEIGHT + TOP + GAP)
        points = " ".join(f"{x0 + WIDTH * step / (STEPS - 1):.1f},{y0 + HEIGHT * (1 - rate):.1f}"
                          for step, rate in enumerate(json.loads(line)))
        parts += [f'<text x="{x0}" y="{y0 - 8}">{title}</text>',
                  f'<path d="M{x0} {y0}V{y0 + HEIGHT}H{x0 + WIDTH}" fill="none" stroke="#999"/>',
                  f'<text x="{x0 - 4}" y="{y0 + 4}" text-anchor="end">1</text>',
                  f'<text x="{x0 - 4}" y="{y0 + HEIGHT + 4}" text-anchor="end">0</text>',
                  f'<text x="{x0 + WIDTH}" y="{y0 + HEIGHT + 14}" text-anchor="end">'
                  f'step {STEPS}</text>',
                  f'<polyline points="{points}" fill="none" stroke="#1667b7" stroke-width="1.6"/>']
    with open(sys.argv[2], "w", encoding="utf-8") as file:
        file.write("\n".join(parts) + "\n</svg>\n")


if __name__ == "__main__":
    main()

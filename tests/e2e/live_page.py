#!/usr/bin/env python3
"""The live page in headless Chromium, beside a run that grows: live_page.py LIVE_TOOL

Points, decisions and the heat map appear as the run writes them, a rewound run is drawn anew, hostile
names stay text, another site's page can read nothing, all of it also beside 50 hostile clients; the
page says when the run has ended and when the server is gone.
"""
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from chromium import Chromium  # noqa: E402
from hostile_clients import HostileClients  # noqa: E402

EVIL = "\"'></script><img src=x onerror=\"document.title='pwned'\"><script>document.title='pwned'</script>"


class Run:
    """A run folder that is written as hone writes one."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.write("config.json", {"about": "Prunes a third of the heads while it tunes on medicine"})
        self.append("decisions.jsonl", {"run": {}})
        self.rows = []

    def write(self, name, value):
        path = self.folder / f"{name}.tmp"
        path.write_text(json.dumps(value))
        os.replace(path, self.folder / name)

    def append(self, name, row):
        with open(self.folder / name, "a") as file:
            file.write(json.dumps(row) + "\n")

    def step(self, step, steps=400):
        alive = {str(layer): 12 - max(0, min(7 - layer, (step - 60 - 12 * layer) // 25)) for layer in range(8)}
        noise = 0.12 * math.sin(step * 12.9898) * math.cos(step * 78.233)
        row = {"step": step, "loss": 2.4 + 2.6 * math.exp(-step / 90) + noise,
               "lr": 3e-4 * min(step / 40, 0.5 + 0.5 * math.cos(step / steps * 3.1)) * (0.5 if step > 230 else 1),
               "grad_norm": 0.8 + 3 * abs(noise), "tokens_per_second": 4900 + 900 * noise + step,
               "shares": {"medicine": 0.5 - step / 1500, "general": 0.5 + step / 1500}, "heads_alive": alive}
        if step % 40 == 0:
            row["head_importance"] = {str(layer): [abs(math.sin(layer * 5 + head * 3)) if head < alive[str(layer)] else 0
                                                   for head in range(12)] for layer in range(8)}
        self.rows.append(row)
        self.append("metrics.jsonl", row)
        if step % 50 == 0:
            evaluation = [{"name": "medicine", "perplexity": 18 + 60 * math.exp(-step / 80)},
                          {"name": "general", "perplexity": 31 - step / 200}]
            self.rows.append({"step": step, "evaluation": evaluation})
            self.append("metrics.jsonl", self.rows[-1])
        if step in (85, 110, 160):
            self.decide(step, "head_pruning", "the least important heads, cubic schedule", "heads", 96 - step // 8, 95 - step // 8)
        if step == 230:
            self.decide(step, "plateau", "loss_mean fell less than 0.001 for 50 steps", "lr_scale", 1.0, 0.5)

    def decide(self, step, controller, rule, knob, old, new):
        self.append("decisions.jsonl", {
            "step": step, "at": "step", "controller": controller, "rule": rule, "signals": {"loss_mean": 2.41},
            "knob": knob, "old": old, "new": new, "applied": True})

    def rewind(self, step):
        self.rows = [row for row in self.rows if row["step"] <= step]
        path = self.folder / "metrics.tmp"
        path.write_text("".join(json.dumps(row) + "\n" for row in self.rows))
        os.replace(path, self.folder / "metrics.jsonl")


def count(selector):
    return f"document.querySelectorAll({json.dumps(selector)}).length"


def shows_step(step):
    return f"document.title.startsWith('step {step} ')"


def check_growth(run, page):
    page.wait("document.getElementById('state').textContent.startsWith('running')", "a run without rows")
    for step in range(1, 81):
        run.step(step)
    page.wait(shows_step(80), "its first rows")
    assert page.value(count("g.mark")) == 0
    points = "document.querySelector('figure path.line').getAttribute('d').split('L').length"
    before, cells = page.value(points), page.value(count("rect.heat"))
    assert before == 80 and cells >= 8, (before, cells)
    for step in range(81, 241):
        run.step(step)
    page.wait(shows_step(240), "more rows")
    assert page.value(points) == 240, page.value(points)
    assert page.value(count("rect.heat")) > cells
    page.wait(f"{count('g.mark')} === 4 && {count('table.decisions tr')} === 5", "four decisions, marked and told")
    text = page.value("document.querySelector('table.decisions').innerText")
    for part in ("plateau", "lr_scale", "1 → 0.5", "loss_mean 2.41"):
        assert part in text, f"{part} is not in the table of decisions:\n{text}"
    titles = page.value("[...document.querySelectorAll('figcaption')].map(one => one.textContent)")
    for title in ("Training loss", "Held-out perplexity", "heads alive", "head importance", "Learning rate",
                  "Tokens per second"):
        assert any(shown.startswith(title) for shown in titles), f"{title} is not among {titles}"


def check_dark(page):
    colours = []
    for dark in (True, False):
        page.use_dark(dark)
        colours.append(page.value("getComputedStyle(document.body).backgroundColor"))
    assert colours[0] != colours[1], colours
    print(f"seen: dark and light, {colours}")


def check_hostile_names(run, page):
    run.append("metrics.jsonl", {"step": 241, "loss": 2.4, EVIL: {EVIL: 1}, EVIL + "_alive": {EVIL: 1},
                                 "evaluation": [{"name": EVIL, "perplexity": 3}]})
    run.decide(241, EVIL, EVIL, EVIL, EVIL, EVIL)
    page.wait(shows_step(241), "hostile names")
    page.wait(f"document.getElementById('view').textContent.includes('onerror')", "them as text")
    assert page.value(count("#view img, #view script")) == 0
    assert not page.value("document.title.includes('pwned')")


def check_other_sites(browser, url):
    page = browser.open("data:text/html,<title>another site</title>")
    page.wait("document.title === 'another site'", "a page of another site")
    assert page.value(f"fetch('{url}data').then(() => 'read', () => 'forbidden')") == "forbidden"
    framed = page.value(f"""new Promise(done => {{ const frame = document.createElement('iframe');
        frame.src = '{url}'; frame.onload = () => done(frame.contentDocument === null);
        document.body.append(frame) }})""")
    assert framed, "another site could look into a frame"
    print("seen: another site reads nothing")


def check(tool):
    with tempfile.TemporaryDirectory() as folder, Chromium() as browser:
        run = Run(folder)
        server = subprocess.Popen([tool, "--out", folder, "--serve", "0"], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                  text=True)
        url = server.stdout.readline().strip()
        page = browser.open(url)
        check_growth(run, page)
        check_dark(page)
        check_hostile_names(run, page)
        check_other_sites(browser, url)

        run.rewind(100)
        page.wait(shows_step(100), "a rewound run")
        with HostileClients(int(url.rsplit(":", 1)[1].strip("/"))) as clients:
            time.sleep(2)
            for step in range(101, 151):
                run.step(step)
            page.wait(shows_step(150), "new rows beside 50 hostile clients", seconds=60)
        print("hostile clients:", dict(clients.connections), "dropped:", dict(clients.dropped))
        assert len(clients.connections) == 5, "a kind of hostile client never connected"

        run.write("report.json", {"ending": "done"})
        page.wait("document.getElementById('state').textContent.startsWith('ended: done')", "the run's end")
        complaints = page.complaints()
        assert not complaints, complaints
        server.stdin.close()
        assert server.wait(timeout=20) == 0
        page.wait("document.getElementById('state').textContent.startsWith('no answer since')", "the server's end")
        assert page.value(count("figure")) > 3, "the plots went with the server"


def main():
    check(sys.argv[1])
    print("live_page: passed")


if __name__ == "__main__":
    main()

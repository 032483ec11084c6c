#!/usr/bin/env python3
"""The commands of README and docs/tune-your-own-model.md, as they stand: readme_run.py <folder of the executables>

In a folder with a small model under the name that they use and a file of 40 conversations: every
recipe and every command of the executables that the two show for it ends well, an interrupted run
goes on, and what transformers needs is there.
"""
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "support"))
import tiny_run  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", ROOT / "docs" / "tune-your-own-model.md"]
BINARIES = None


def recipe_of(page):
    """The recipe that the page shows whole."""
    blocks = re.findall(r"(?ms)^```json\n(\{\n.*?\n\})\n```", page.read_text())
    assert len(blocks) == 1, f"{page} shows {len(blocks)} recipes"
    return json.loads(blocks[0])


def commands_of(page):
    """Those of the executables for that recipe, without their remarks."""
    lines = re.findall(r"(?m)^    (hone-\w+ .*)$", page.read_text())
    return [re.sub(r" +#.*", "", line) for line in lines if "chat.json" in line or "runs/chat" in line]


class Readme(unittest.TestCase):
    def setUp(self):
        temporary = tempfile.TemporaryDirectory()
        self.addCleanup(temporary.cleanup)
        self.folder = pathlib.Path(temporary.name)
        self.make_model(self.folder / "models" / "R1-1.5B")
        rows = [[{"role": "user", "content": f"How much is {i} and {i}?"},
                 {"role": "assistant", "content": f"{i} and {i} is {2 * i}."}] for i in range(40)]
        for name, lines in (("chats", [{"messages": row} for row in rows]), ("questions", [{"prompt": "Who are you?"}])):
            (self.folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))

    def make_model(self, model):
        tiny_run.make_data(self.folder)
        recipe = tiny_run.base_recipe(self.folder, steps=1, save_every=0) | {"guard": {}}
        run = tiny_run.Run(BINARIES / "hone-domain", recipe, self.folder / "base")
        code, errors = run.finish()
        self.assertEqual(code, 0, errors)
        model.parent.mkdir()
        (self.folder / "base" / "model").rename(model)
        (model / "chat_template.jinja").write_text((ROOT / "scripts" / "demo_chat_template.jinja").read_text())

    def call(self, command, **options):
        path = f"{BINARIES}:{os.environ['PATH']}"
        return subprocess.Popen(["bash", "-c", command], cwd=self.folder, env=os.environ | {"PATH": path}, text=True,
                                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)

    def check(self, command, code=0):
        process = self.call(command)
        out, errors = process.communicate(timeout=tiny_run.DEADLINE)
        self.assertEqual(process.returncode, code, f"{command}\n{out}{errors}")
        return out

    def check_page(self, page):
        (self.folder / "chat.json").write_text(json.dumps(recipe_of(page)))
        commands = commands_of(page)
        self.assertTrue(any("--out" in command for command in commands), commands)
        for command in commands:
            self.check(command)
        model = self.folder / "runs" / "chat" / "model"
        for name in ("config.json", "model.safetensors", "tokenizer.json", "chat_template.jinja"):
            self.assertTrue((model / name).exists(), name)
        self.assertTrue((model.parent / "report.html").exists())

    def test_the_readme(self):
        self.check_page(PAGES[0])

    def test_the_page_on_tuning(self):
        self.check_page(PAGES[1])

    def test_an_interrupted_run_goes_on_with_the_command_that_is_told(self):
        recipe = recipe_of(PAGES[1])
        recipe["train"] |= {"epochs": 400, "eval_every": 0, "log_every": 1}
        (self.folder / "chat.json").write_text(json.dumps(recipe))
        process = self.call("exec hone-domain --config chat.json --out runs/chat")
        metrics = self.folder / "runs" / "chat" / "metrics.jsonl"
        tiny_run.wait_until(lambda: metrics.exists() and '"loss"' in metrics.read_text() or process.poll() is not None)
        process.send_signal(signal.SIGINT)
        out, errors = process.communicate(timeout=tiny_run.DEADLINE)
        self.assertEqual(process.returncode, 130, out + errors)
        self.assertIn("go on with: hone-domain --resume --out runs/chat\n", out)


if __name__ == "__main__":
    BINARIES = pathlib.Path(sys.argv.pop(1)).resolve()
    unittest.main()

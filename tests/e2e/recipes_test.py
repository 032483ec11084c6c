#!/usr/bin/env python3
"""Every recipe is read by its executable, and the schema beside them is the executable's own:

    recipes_test.py <folder of the executables>

With --write, writes the schemas instead.
"""
import json
import pathlib
import re
import subprocess
import sys
import unittest

RECIPES = pathlib.Path(__file__).resolve().parents[2] / "recipes"
# A new knob is a key of the configuration, not a flag: style.md, JSON.
ALL = {"config", "set", "out", "print-config", "schema", "help", "version", "resume", "plan", "dump-data"}
FLAGS = {"hone-domain": ALL | {"force", "cache-teacher"}, "hone-static": ALL,
         "hone-dynamic": ALL | {"force", "dry-run", "replay", "serve"}}
# What these apps do is said by flags, not by a recipe.
FLAG_APPS = {
    "hone-chat": {"model", "base", "prompt", "prompts", "out", "system", "max-new-tokens", "chat-template-kwargs", "temperature", "top-p",
                  "seed", "device", "threads", "help", "version"},
    "hone-merge": {"adapter", "base", "out", "dtype", "max-shard-size", "help", "version"}}
BINARIES = None


def call(path, *arguments):
    app = BINARIES / f"hone-{path}"
    return subprocess.run([app, *arguments], capture_output=True, text=True, check=False)


def paths():
    return sorted(folder.name for folder in RECIPES.iterdir() if folder.is_dir())


class Recipes(unittest.TestCase):
    def test_every_recipe_is_read(self):
        for path in paths():
            recipes = sorted((RECIPES / path).rglob("*.json"))
            self.assertTrue(recipes, path)
            for recipe in recipes:
                with self.subTest(recipe=str(recipe)):
                    result = call(path, "--config", recipe, "--print-config")
                    self.assertEqual(result.returncode, 0, result.stderr)
                    resolved = json.loads(result.stdout)
                    given = json.loads(recipe.read_text())
                    self.assertEqual(resolved["about"], given["about"])
                    self.assertIn(f"hone-{path} --config recipes/{path}/", given["about"])
                    self.assertEqual(given["$schema"], f"../{path}.schema.json")

    def test_schemas_are_current(self):
        for path in paths():
            result = call(path, "--schema")
            self.assertEqual(result.returncode, 0, result.stderr)
            self.assertEqual(result.stdout, (RECIPES / f"{path}.schema.json").read_text(),
                             f"write it anew: {__file__} --write {BINARIES}")

    def test_flags_are_frozen(self):
        for path in paths():
            shown = call(path, "--help").stdout
            self.assertEqual(set(re.findall(r"--([a-z][a-z-]*)", shown)), FLAGS[f"hone-{path}"], shown)

    def test_flags_of_apps_without_recipes_are_frozen(self):
        for app, flags in FLAG_APPS.items():
            shown = subprocess.run([BINARIES / app, "--help"], capture_output=True, text=True, check=True).stdout
            self.assertEqual(set(re.findall(r"--([a-z][a-z-]*)", shown)), flags, shown)
            version = subprocess.run([BINARIES / app, "--version"], capture_output=True, text=True, check=True)
            self.assertRegex(version.stdout, rf"^{app} \d+\.\d+")
            wrong = subprocess.run([BINARIES / app, "--bad"], capture_output=True, text=True, check=False)
            self.assertEqual((wrong.returncode, wrong.stdout), (2, ""))

    def test_a_wrong_recipe_is_refused(self):
        for path in paths():
            recipe = next((RECIPES / path).glob("*.json"))
            result = call(path, "--config", recipe, "--set", "trian.steps=1", "--print-config")
            self.assertEqual(result.returncode, 2)
            self.assertIn("trian", result.stderr)


if __name__ == "__main__":
    BINARIES = pathlib.Path(sys.argv.pop())
    if sys.argv[1:] == ["--write"]:
        for name in paths():
            (RECIPES / f"{name}.schema.json").write_text(call(name, "--schema").stdout)
    else:
        unittest.main()
